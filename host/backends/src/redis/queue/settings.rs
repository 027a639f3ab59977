//! How the queues in Redis go, and their bounds.

use keyspace::TopicSettings;
use serde::Deserialize;

use crate::memory;
use crate::redis::settings::Settings;

/// The way of entries through Redis.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
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
pub struct QueueSettings {
    /// The servers.
    pub server: Settings,
    /// The way that is received from.
    pub read: Way,
    /// The ways that are published to; `read` must be among them.
    pub write: Vec<Way>,
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

impl Default for QueueSettings {
    fn default() -> Self {
        let memory = memory::QueueSettings::default();
        let topics = TopicSettings::default();
        Self {
            server: Settings::default(),
            read: Way::Streams,
            write: vec![Way::Streams],
            per_topic_max: topics.per_topic_max,
            groups_max: topics.groups_max,
            payload_bytes_max: memory.payload_bytes_max,
            receive_max: memory.receive_max,
            receive_bytes_max: topics.receive_bytes_max,
            redeliver_after_ms: topics.redeliver_after_ms,
            retain_ms: topics.retain_ms,
            group_idle_ms: topics.group_idle_ms,
            replay_max: topics.replay_max,
            undecodable_max: topics.undecodable_max,
            topic_idle_ms: topics.topic_idle_ms,
            topics_max: 64,
            bytes_max: memory.bytes_max,
        }
    }
}

impl QueueSettings {
    /// Those of topics in streams.
    pub(super) fn of_topics(&self) -> TopicSettings {
        TopicSettings {
            per_topic_max: self.per_topic_max,
            groups_max: self.groups_max,
            receive_bytes_max: self.receive_bytes_max,
            redeliver_after_ms: self.redeliver_after_ms,
            retain_ms: self.retain_ms,
            group_idle_ms: self.group_idle_ms,
            replay_max: self.replay_max,
            undecodable_max: self.undecodable_max,
            topic_idle_ms: self.topic_idle_ms,
        }
    }
}
