//! Rates that the manifest names.

use serde::Deserialize;

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Permits that come back each second.
    pub per_second: f64,
    /// Permits that can be saved up.
    pub burst: f64,
}
