//! Circuit breakers.

use serde::Deserialize;

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
