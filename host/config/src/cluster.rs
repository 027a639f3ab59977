//! This node among others.

use serde::Deserialize;

use crate::positive::positive;

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
