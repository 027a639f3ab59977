//! The settings of the host: one typed tree, read from `[application.tool.mpim]` of the manifest.
//!
//! Every limit of the host stands here with its unit and its default. Unknown keys are refused.
//! This module is a leaf: it knows the settings of others, and nothing of what they do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use backends::{memory, mysql, read_through, redis, sqlite};

/// `[application.tool.mpim]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// This node among others.
    pub cluster: ClusterSettings,
    /// Sockets, frames and the lifecycle calls.
    pub gateway: GatewaySettings,
    /// Calls of functions that run elsewhere.
    pub remote: RemoteSettings,
    /// Sandboxes of all functions together.
    pub sandboxes: SandboxSettings,
    /// The embedded store.
    pub sqlite: sqlite::Settings,
    /// A store on MySQL or MariaDB, instead of the embedded one.
    pub mysql: Option<mysql::Settings>,
    /// Redis, by what it is for, instead of what is in this process.
    pub redis: RedisSettings,
    /// The in-process cache.
    pub cache: memory::CacheSettings,
    /// What goes through the cache to a store.
    pub read_through: read_through::Settings,
    /// The in-process metadata store.
    pub metadata: memory::MetadataSettings,
    /// The in-process queue.
    pub queue: memory::QueueSettings,
    /// Argon2id.
    pub password: PasswordSettings,
    /// Circuit breakers of functions and of components' own names.
    pub breaker: BreakerSettings,
    /// Logs and metrics that components write.
    pub telemetry: TelemetrySettings,
    /// Calls that the host makes again and again.
    pub timer: Vec<Timer>,
}

/// The three things that Redis can be for, each with its own servers and connections.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// The cache, which may vanish.
    pub cache: Option<redis::CacheSettings>,
    /// Leases and locks.
    pub metadata: Option<redis::MetadataSettings>,
    /// The queues.
    pub queue: Option<redis::QueueSettings>,
}

impl Settings {
    /// Keeps everything that lasts in a database on MySQL.
    pub fn use_mysql(&mut self, url: &str) {
        url.clone_into(&mut self.mysql.get_or_insert_default().url);
    }

    /// Uses one Redis for everything that Redis can be for.
    pub fn use_redis(&mut self, url: &str) {
        let urls = vec![url.to_owned()];
        self.redis.cache.get_or_insert_default().server.urls.clone_from(&urls);
        self.redis
            .metadata
            .get_or_insert_default()
            .server
            .urls
            .clone_from(&urls);
        self.redis.queue.get_or_insert_default().server.urls = urls;
    }
}

/// Who this node is, and how it lives with others on the same storage.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSettings {
    /// The name of this node, unique in the cluster; absent: one made at the first start and kept in the data folder.
    pub node: Option<String>,
    /// How often a node says that it is alive.
    #[serde(deserialize_with = "positive")]
    pub heartbeat_ms: u64,
    /// A node that was silent for so long counts as dead: its connections are forgotten, its queue is taken over.
    #[serde(deserialize_with = "positive")]
    pub lease_ms: u64,
    /// For how long the queue of a dead node is looked after, in case something still comes in.
    #[serde(deserialize_with = "positive")]
    pub look_after_ms: u64,
    /// For how long a node may give ids without having its worker number confirmed by the store.
    #[serde(deserialize_with = "positive")]
    pub worker_lease_ms: u64,
    /// The worker number of a node that was silent for so long may be given to another.
    #[serde(deserialize_with = "positive")]
    pub worker_quarantine_ms: u64,
    /// Over how long the connections of a node are spread that are told to catch up.
    pub resync_spread_ms: u64,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            node: None,
            heartbeat_ms: 2_000,
            lease_ms: 8_000,
            look_after_ms: 120_000,
            worker_lease_ms: 60_000,
            worker_quarantine_ms: 3_600_000,
            resync_spread_ms: 2_000,
        }
    }
}

/// `FUNCTION.METHOD`, as the manifest names a method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct MethodName {
    /// The function.
    pub function: String,
    /// The method, in the kebab case of WIT.
    pub method: String,
}

impl TryFrom<String> for MethodName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (function, method) = text
            .split_once('.')
            .ok_or_else(|| format!("`{text}` is not of the form FUNCTION.METHOD"))?;
        Ok(Self {
            function: function.to_owned(),
            method: method.to_owned(),
        })
    }
}

impl std::fmt::Display for MethodName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.function, self.method)
    }
}

/// The edge.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySettings {
    /// Makes an identity of a token. Without it no method that takes a caller can be called.
    pub verify: Option<MethodName>,
    /// A call whose result carries the `token` that logs its connection in.
    pub login: Option<MethodName>,
    /// Told of each connection that was logged in, in this order.
    pub opened: Vec<MethodName>,
    /// Told of each connection that was logged in and is gone.
    pub closed: Vec<MethodName>,
    /// Told of all live connections again and again; those whose ids are answered are closed.
    pub renewed: Vec<MethodName>,
    /// Gives the topics of a new connection.
    pub topics: Option<MethodName>,
    /// Told the tracked ids whose notification a socket took.
    pub written: Option<MethodName>,
    /// Told the node and the ids of all its connections, as often as `renewed`.
    pub sweep: Option<MethodName>,
    /// Which method does many calls of another: what clients ask for on their sockets at the same moment is made as one
    /// call, and so is what the gateway itself asks of functions for connections that come and go.
    pub together: BTreeMap<MethodName, MethodName>,
    /// How many calls are made as one; the methods of this project take 100 at most.
    pub together_max: usize,
    /// How many connections may wait with calls of one such method; one more is `overloaded`.
    pub together_waiting_max: usize,
    /// The interface of notifications, without its version: the host implements it from its types.
    pub notify: Option<String>,
    /// How often leases are renewed.
    #[serde(deserialize_with = "positive")]
    pub renew_every_ms: u64,
    /// Largest frame and largest HTTP body, in bytes.
    pub frame_max_bytes: usize,
    /// Largest answer of a call, and of a batch of calls, as JSON, in bytes.
    pub answer_max_bytes: usize,
    /// A connection that has not logged in by then is closed.
    pub login_within_ms: u64,
    /// How long a connection may be silent before it is pinged.
    pub ping_after_ms: u64,
    /// How long a connection may be silent before it counts as half open, and is closed.
    pub silence_max_ms: u64,
    /// How long a write to a socket may take before the reader counts as gone.
    pub write_within_ms: u64,
    /// How many frames may wait for one connection; one more closes it.
    pub outbox_max_frames: usize,
    /// How many bytes may wait for one connection; more closes it.
    pub outbox_max_bytes: usize,
    /// How many sockets may be open at once.
    pub connections_max: usize,
    /// How many calls a JSON-RPC batch may hold.
    pub batch_max: usize,
    /// The read buffer of a socket, in bytes.
    pub read_buffer_bytes: usize,
    /// Frames that wait for one socket are gathered up to so many bytes before they are written.
    pub write_buffer_bytes: usize,
    /// How long tracked ids are gathered before `written` is called.
    pub written_every_ms: u64,
    /// How long a shutdown waits for connections to drain.
    pub drain_within_ms: u64,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            verify: None,
            login: None,
            opened: Vec::new(),
            closed: Vec::new(),
            renewed: Vec::new(),
            topics: None,
            written: None,
            sweep: None,
            notify: None,
            renew_every_ms: 30_000,
            frame_max_bytes: 64 * 1024,
            together: BTreeMap::new(),
            together_max: 100,
            together_waiting_max: 65_536,
            answer_max_bytes: 16 * 1024 * 1024,
            login_within_ms: 30_000,
            ping_after_ms: 30_000,
            silence_max_ms: 75_000,
            write_within_ms: 10_000,
            outbox_max_frames: 4096,
            outbox_max_bytes: 4 * 1024 * 1024,
            connections_max: 200_000,
            batch_max: 64,
            read_buffer_bytes: 1024,
            write_buffer_bytes: 16 * 1024,
            written_every_ms: 100,
            drain_within_ms: 5_000,
        }
    }
}

/// How a node calls functions that run elsewhere. Where they are is told when the node is started.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteSettings {
    /// How long a connection may take to be made.
    #[serde(deserialize_with = "positive")]
    pub connect_within_ms: u64,
    /// The longest that a call may take, waiting included. A little more than the functions' own deadlines, whose
    /// answers say more.
    #[serde(deserialize_with = "positive")]
    pub deadline_ms: u64,
    /// Calls that may be under way at once, each on a connection of its own.
    pub in_flight_max: usize,
    /// Calls that may wait for those; one more is `overloaded`.
    pub waiting_max: usize,
    /// A connection that was idle for so long is closed.
    pub idle_timeout_ms: u64,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self {
            connect_within_ms: 1_000,
            deadline_ms: 6_000,
            in_flight_max: 256,
            waiting_max: 4096,
            idle_timeout_ms: 30_000,
        }
    }
}

/// What all functions share.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// How many sandboxes all functions may have together.
    pub total_max: u32,
    /// Largest linear memory of a sandbox that a function may ask for, in MiB.
    pub memory_max_mib: usize,
    /// Core modules that one component may be made of, those that adapt its imports included. A component of Rust is
    /// made of about four, one of Python of fourteen: the interpreter and its libraries are modules of their own.
    pub core_instances_max: u32,
    /// Bytes of a linear memory that stay resident between two sandboxes in the same slot.
    pub keep_resident_bytes: usize,
    /// The grain of deadlines of running code.
    #[serde(deserialize_with = "positive")]
    pub epoch_tick_ms: u64,
    /// How deep functions may call each other.
    pub depth_max: u32,
    /// Bytes that one call may move from a sandbox to the host at once.
    pub transfer_max_bytes: usize,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            total_max: 512,
            memory_max_mib: 64,
            core_instances_max: 16,
            keep_resident_bytes: 128 * 1024,
            epoch_tick_ms: 5,
            depth_max: 8,
            transfer_max_bytes: 8 * 1024 * 1024,
        }
    }
}

/// Argon2id parameters; the defaults are those of RFC 9106's successor advice by OWASP
/// (19 MiB, two passes, one lane).
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordSettings {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Hashes computed at once.
    pub parallel_max: usize,
    /// Hashes that may wait; one more is `overloaded`.
    pub waiting_max: usize,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        let cost = password::Cost::default();
        Self {
            memory_kib: cost.memory_kib,
            passes: cost.passes,
            parallel_max: 2,
            waiting_max: 256,
        }
    }
}

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call may try.
    pub open_ms: u64,
    /// How many breakers a function may name.
    pub names_max: usize,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 10,
            open_ms: 1_000,
            names_max: 64,
        }
    }
}

/// Bounds on what components log and measure.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Lines a second that one function may log; more are counted and dropped.
    pub log_lines_per_second: u32,
    /// Bytes of one line, with its fields; the rest is cut off.
    pub log_line_max_bytes: usize,
    /// Metric names, each with its labels, that one function may use; more are counted and dropped.
    pub series_max: usize,
    /// Bytes of a metric's name and labels together; a longer one is counted and dropped.
    pub series_bytes_max: usize,
    /// Buckets by name and key that one function may fill for rate limits at once.
    pub rate_keys_max: usize,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log_lines_per_second: 100,
            log_line_max_bytes: 4096,
            series_max: 256,
            series_bytes_max: 1024,
            rate_keys_max: 100_000,
        }
    }
}

/// A call that the host makes again and again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// A method without parameters.
    pub call: MethodName,
    /// From the end of one call to the begin of the next.
    #[serde(deserialize_with = "positive")]
    pub every_ms: u64,
}

/// `[component.NAME.tool.mpim]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FunctionSettings {
    /// The file of the component alone, where `source` names one that is composed for Spin.
    pub component: Option<String>,
    /// Interfaces, without their versions, whose methods clients may call. All others are private.
    pub public: Vec<String>,
    /// Sandboxes that are made at the start and kept.
    pub min_warm: u32,
    /// Sandboxes that may exist at once.
    pub max_sandboxes: u32,
    /// Calls that may wait for a sandbox; one more is `overloaded`.
    pub waiting_max: usize,
    /// Calls that one sandbox serves before it is thrown away; 1 is a fresh one for each call.
    pub max_reuse: u32,
    /// A sandbox beyond `min_warm` that was idle for so long is thrown away.
    pub idle_timeout_ms: u64,
    /// The longest that a call may take, waiting included.
    pub deadline_ms: u64,
    /// Largest linear memory of a sandbox, in MiB.
    pub memory_mib: usize,
    /// What the component reads as its settings.
    pub config: std::collections::BTreeMap<String, ConfigValue>,
    /// The space of the keys that the function has in the cache: its own name unless it is given. Functions that
    /// name the same space share their keys, and what one of them changes it can forget for all.
    pub cache_space: Option<String>,
    /// The token buckets that the component may name.
    pub rates: std::collections::BTreeMap<String, Rate>,
}

impl Default for FunctionSettings {
    fn default() -> Self {
        Self {
            public: Vec::new(),
            min_warm: 1,
            max_sandboxes: 64,
            waiting_max: 4096,
            max_reuse: 10_000,
            idle_timeout_ms: 30_000,
            deadline_ms: 5_000,
            component: None,
            memory_mib: 16,
            config: std::collections::BTreeMap::new(),
            rates: std::collections::BTreeMap::new(),
            cache_space: None,
        }
    }
}

/// A setting of a component: text, a number or a truth value in the manifest, text for the component.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ConfigValue {
    /// As it is.
    Text(String),
    /// In decimal.
    Integer(i64),
    /// `true` or `false`.
    Truth(bool),
}

impl std::fmt::Display for ConfigValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Integer(number) => number.fmt(formatter),
            Self::Truth(truth) => truth.fmt(formatter),
        }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Permits that come back each second.
    pub per_second: f64,
    /// Permits that can be saved up.
    pub burst: f64,
}

/// A pause between rounds of work: without any, a round would follow the other as fast as it can.
fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(D::Error::custom("must be greater than 0")),
        milliseconds => Ok(milliseconds),
    }
}

/// Milliseconds of a setting as a duration.
pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
