//! Remote functions.

use serde::Deserialize;

use crate::positive::positive;

/// How a node calls remote functions. Where they are is told when the node is started.
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
    /// Whether calls share connections as streams of HTTP/2, spoken from the first byte. Nodes take both; a host that does
    /// not, such as Spin, needs this to stay off.
    pub http2: bool,
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
            http2: false,
            idle_timeout_ms: 30_000,
        }
    }
}
