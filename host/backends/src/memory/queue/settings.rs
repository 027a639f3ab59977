//! The bounds of the queues in memory.

use std::time::Duration;

use serde::Deserialize;

/// The settings of the queues in memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
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

impl Default for Settings {
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

impl Settings {
    /// When an entry that was not acknowledged is given again.
    pub(super) fn redeliver_after(&self) -> Duration {
        Duration::from_millis(self.redeliver_after_ms)
    }

    /// How long a topic without groups keeps an entry.
    pub(super) fn retain(&self) -> Duration {
        Duration::from_millis(self.retain_ms)
    }

    /// When a silent group is forgotten.
    pub(super) fn group_idle(&self) -> Duration {
        Duration::from_millis(self.group_idle_ms)
    }
}
