//! Pools of connections to servers: how many may exist, for how long, and how long anybody waits for one.

use serde::Deserialize;

/// The bounds of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolSettings {
    /// Connections that are made at the start, and kept ready from then on.
    pub min_idle: u32,
    /// Connections that may wait unused; one more is closed when it is given back, unless more were in use within the
    /// last second.
    pub max_idle: u32,
    /// Connections that may exist, used and unused.
    pub max_active: u32,
    /// When an unused connection beyond `min_idle` is closed, in milliseconds.
    pub idle_timeout_ms: u64,
    /// When a connection is replaced however well it works, in milliseconds.
    pub max_lifetime_ms: u64,
    /// How long the making of a connection may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a caller waits for a connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// A connection that was unused for so long is checked before it is given out, in milliseconds.
    pub check_after_ms: u64,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            min_idle: 2,
            max_idle: 16,
            max_active: 32,
            idle_timeout_ms: 60_000,
            max_lifetime_ms: 1_800_000,
            connect_timeout_ms: 2_000,
            acquire_timeout_ms: 2_000,
            check_after_ms: 5_000,
        }
    }
}
