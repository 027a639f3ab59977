//! The settings of the host: one typed tree, read from `[application.tool.mpim]` of the manifest.
//!
//! Every limit of the host stands here with its unit and its default. Unknown keys are refused.
//! It knows the settings of backends and policies, and nothing of what they do.

mod batch;
mod breaker;
mod cluster;
mod function;
mod gateway;
pub mod manifest;
mod method;
mod positive;
mod rate;
mod remote;
mod sandbox;

use std::time::Duration;

use serde::Deserialize;

use backends::{memory, mysql, read_through, redis, sqlite};

pub use batch::BatchSettings;
pub use breaker::BreakerSettings;
pub use cluster::ClusterSettings;
pub use function::{ConfigValue, FunctionSettings, PasswordSettings, TelemetrySettings};
pub use gateway::GatewaySettings;
pub use method::{MethodName, Timer};
pub use rate::Rate;
pub use remote::RemoteSettings;
pub use sandbox::SandboxSettings;

/// `[application.tool.mpim]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// This node among others.
    pub cluster: ClusterSettings,
    /// Sockets, frames and the lifecycle calls.
    pub gateway: GatewaySettings,
    /// Calls that are made as one.
    pub batch: BatchSettings,
    /// Calls of remote functions.
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

/// Milliseconds of a setting as a duration.
pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
