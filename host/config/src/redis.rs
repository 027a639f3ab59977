//! Redis, by what it is for: where the servers are, and the bounds of what is kept there.

use std::fmt;

use serde::{Deserialize, Deserializer};

use crate::memory::{MemoryCacheSettings, MemoryQueueSettings};
use crate::pool::PoolSettings;

/// The three things that Redis can be for, each with its own servers and connections.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSettings {
    /// The cache, which may vanish.
    pub cache: Option<RedisCacheSettings>,
    /// Leases and locks.
    pub metadata: Option<RedisMetadataSettings>,
    /// The queues.
    pub queue: Option<RedisQueueSettings>,
}

/// The settings of one role: where its servers are, and how they are used.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisServerSettings {
    /// `redis://[[user]:password@]host[:port][/database]`, one or a list. Of a replicated server the first is the
    /// master and the others are its replicas; of a cluster any of its nodes.
    #[serde(deserialize_with = "one_or_many")]
    pub urls: Vec<String>,
    /// What these servers are to each other.
    pub topology: RedisTopology,
    /// What every key of the role begins with; empty is `mpim:ROLE:`.
    pub prefix: String,
    /// Connections to each server that all callers share.
    pub connections: usize,
    /// Connections that one caller has for itself while it waits for something to come.
    pub pool: PoolSettings,
    /// How long the making of a shared connection may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a call may take, with the wait for a connection, in milliseconds.
    pub response_timeout_ms: u64,
    /// The longest pause between two attempts to connect again, in milliseconds.
    pub reconnect_pause_ms: u64,
}

/// What the servers of a role are to each other.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisTopology {
    /// One server.
    #[default]
    Single,
    /// A master and its replicas, which answer reads that may be stale.
    Replicated,
    /// A Redis Cluster.
    Cluster,
}

impl Default for RedisServerSettings {
    fn default() -> Self {
        Self {
            urls: vec!["redis://127.0.0.1:6379".to_owned()],
            topology: RedisTopology::Single,
            prefix: String::new(),
            connections: 2,
            pool: PoolSettings::default(),
            connect_timeout_ms: 1_000,
            response_timeout_ms: 1_000,
            reconnect_pause_ms: 500,
        }
    }
}

/// Without the URLs, which may have passwords in them.
impl fmt::Debug for RedisServerSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisServerSettings")
            .field("servers", &self.urls.len())
            .field("topology", &self.topology)
            .field("prefix", &self.prefix)
            .field("connections", &self.connections)
            .field("pool", &self.pool)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("response_timeout_ms", &self.response_timeout_ms)
            .field("reconnect_pause_ms", &self.reconnect_pause_ms)
            .finish()
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Urls {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Urls::deserialize(deserializer)? {
        Urls::One(url) => vec![url],
        Urls::Many(urls) => urls,
    })
}

/// The bounds of a cache in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisCacheSettings {
    /// The servers.
    pub server: RedisServerSettings,
    /// Bytes of one key with its value; one more is `invalid`.
    pub entry_bytes_max: usize,
    /// Values of one list; one more is `overloaded`.
    pub list_length_max: usize,
    /// Bytes of one value of a list; one more is `invalid`.
    pub list_value_bytes_max: usize,
}

impl Default for RedisCacheSettings {
    fn default() -> Self {
        let memory = MemoryCacheSettings::default();
        Self {
            server: RedisServerSettings::default(),
            entry_bytes_max: memory.entry_bytes_max,
            list_length_max: memory.list_length_max,
            list_value_bytes_max: memory.list_value_bytes_max,
        }
    }
}

/// The bounds of the metadata in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisMetadataSettings {
    /// The servers.
    pub server: RedisServerSettings,
    /// Bytes of a name of a set, a member, a lock or an owner; one more is `invalid`.
    pub name_bytes_max: usize,
}

impl Default for RedisMetadataSettings {
    fn default() -> Self {
        Self {
            server: RedisServerSettings::default(),
            name_bytes_max: 1024,
        }
    }
}

/// The way of entries through Redis.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisWay {
    /// Kept in streams, for groups of consumers of the whole cluster.
    #[default]
    Streams,
    /// Called out to the nodes that listen, and lost where none does. Each node has every entry: a group is one of
    /// its own.
    PubSub,
}

/// The settings of the queues in Redis.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisQueueSettings {
    /// The servers.
    pub server: RedisServerSettings,
    /// The way that is received from.
    pub read: RedisWay,
    /// The ways that are published to; `read` must be among them.
    pub write: Vec<RedisWay>,
    /// Entries of one topic that are not ended; one more is `overloaded`.
    pub per_topic_max: usize,
    /// Groups of consumers of one topic; one more is `overloaded`.
    pub groups_max: usize,
    /// Bytes of one payload, and of the name of a topic or a group; one more is `invalid`.
    pub payload_bytes_max: usize,
    /// Entries that one `receive` gives.
    pub receive_max: usize,
    /// Bytes of payloads after which one `receive` gives no more entries, give or take 64 entries.
    pub receive_bytes_max: usize,
    /// When an entry that was not acknowledged is given again, in milliseconds, give or take an eighth.
    pub redeliver_after_ms: u64,
    /// How long a topic without groups keeps an entry, in milliseconds.
    pub retain_ms: u64,
    /// When a group that neither receives nor acknowledges is forgotten, in milliseconds.
    pub group_idle_ms: u64,
    /// About how many entries of a topic are kept for a replay after they ended; 0 keeps none.
    pub replay_max: usize,
    /// Entries of a topic that could not be decoded and are kept for an operator.
    pub undecodable_max: usize,
    /// When a topic that nobody uses vanishes, in milliseconds.
    pub topic_idle_ms: u64,
    /// Topics that this node listens to by Pub/Sub; one more is `overloaded`.
    pub topics_max: usize,
    /// Bytes that this node keeps of what it heard by Pub/Sub; more is dropped, and counted.
    pub bytes_max: usize,
}

/// What `keyspace::TopicSettings` says for hosts without settings is the same here.
impl Default for RedisQueueSettings {
    fn default() -> Self {
        let memory = MemoryQueueSettings::default();
        Self {
            server: RedisServerSettings::default(),
            read: RedisWay::Streams,
            write: vec![RedisWay::Streams],
            per_topic_max: 65_536,
            groups_max: 64,
            payload_bytes_max: memory.payload_bytes_max,
            receive_max: memory.receive_max,
            receive_bytes_max: 4 * 1024 * 1024,
            redeliver_after_ms: 30_000,
            retain_ms: 600_000,
            group_idle_ms: 3_600_000,
            replay_max: 1024,
            undecodable_max: 100,
            topic_idle_ms: 24 * 60 * 60 * 1000,
            topics_max: 64,
            bytes_max: memory.bytes_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_or_a_list_is_read_and_an_unknown_key_is_refused() {
        let one: RedisServerSettings = toml::from_str("urls = 'redis://a:1'").unwrap();
        assert_eq!(one.urls, ["redis://a:1"]);
        let many: RedisServerSettings =
            toml::from_str("urls = ['redis://a:1', 'redis://b:2']\ntopology = 'cluster'").unwrap();
        assert_eq!((many.urls.len(), many.topology), (2, RedisTopology::Cluster));
        assert!(toml::from_str::<RedisServerSettings>("url = 'redis://a:1'").is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = RedisServerSettings {
            urls: vec!["redis://me:hush@a:1/2".to_owned(), "hush".to_owned()],
            ..RedisServerSettings::default()
        };
        let shown = format!("{settings:?}");
        assert!(shown.contains("servers: 2") && !shown.contains("hush"), "{shown}");
    }
}
