//! The cache, the metadata and the queues in the memory of this process: their bounds.

use std::time::Duration;

use serde::Deserialize;

/// The settings of a cache in memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryCacheSettings {
    /// Bytes of keys and values that are kept; more push out what is used least.
    pub bytes_max: u64,
    /// Bytes of one key with its value; one more is `invalid`.
    pub entry_bytes_max: usize,
    /// Values of one list; one more is `overloaded`.
    pub list_length_max: usize,
    /// Bytes of one value of a list; one more is `invalid`.
    pub list_value_bytes_max: usize,
}

/// What `contract::cache::Bounds` says for hosts without settings is the same here.
impl Default for MemoryCacheSettings {
    fn default() -> Self {
        Self {
            bytes_max: 64 * 1024 * 1024,
            entry_bytes_max: 1024 * 1024,
            list_length_max: 1024,
            list_value_bytes_max: 8 * 1024,
        }
    }
}

/// The settings of the metadata in memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryMetadataSettings {
    /// Leases over all sets; one more is `overloaded`.
    pub leases_max: usize,
    /// Locks; one more is `overloaded`.
    pub locks_max: usize,
    /// Bytes of a name of a set, a member, a lock or an owner; one more is `invalid`.
    pub name_bytes_max: usize,
}

impl Default for MemoryMetadataSettings {
    fn default() -> Self {
        Self {
            leases_max: 1_000_000,
            locks_max: 100_000,
            name_bytes_max: 1024,
        }
    }
}

/// The settings of the queues in memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryQueueSettings {
    /// Entries of one topic; one more is `overloaded`.
    pub per_topic_max: usize,
    /// Topics; one more is `overloaded`.
    pub topics_max: usize,
    /// Groups of consumers of one topic; one more is `overloaded`.
    pub groups_max: usize,
    /// Bytes of the payloads of all topics; one more is `overloaded`.
    pub bytes_max: usize,
    /// Bytes of one payload, and of the name of a topic or a group; one more is `invalid`.
    pub payload_bytes_max: usize,
    /// Entries that one `receive` gives.
    pub receive_max: usize,
    /// When an entry that was not acknowledged is given again, in milliseconds.
    pub redeliver_after_ms: u64,
    /// How long a topic without groups keeps an entry, in milliseconds.
    pub retain_ms: u64,
    /// When a group that neither receives nor acknowledges is forgotten, in milliseconds.
    pub group_idle_ms: u64,
}

impl Default for MemoryQueueSettings {
    fn default() -> Self {
        Self {
            per_topic_max: 65_536,
            topics_max: 10_000,
            groups_max: 64,
            bytes_max: 256 * 1024 * 1024,
            payload_bytes_max: 1024 * 1024,
            receive_max: 1024,
            redeliver_after_ms: 30_000,
            retain_ms: 600_000,
            group_idle_ms: 3_600_000,
        }
    }
}

impl MemoryQueueSettings {
    /// When an entry that was not acknowledged is given again.
    pub fn redeliver_after(&self) -> Duration {
        Duration::from_millis(self.redeliver_after_ms)
    }

    /// How long a topic without groups keeps an entry.
    pub fn retain(&self) -> Duration {
        Duration::from_millis(self.retain_ms)
    }

    /// When a silent group is forgotten.
    pub fn group_idle(&self) -> Duration {
        Duration::from_millis(self.group_idle_ms)
    }
}
