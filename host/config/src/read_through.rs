//! The bounds of reading through the cache.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::positive::positive;

/// How long entries live, loads take and waiters wait.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadThroughSettings {
    /// The longest that an entry lives, whatever its filler says.
    #[serde(deserialize_with = "positive")]
    pub ttl_max_ms: u64,
    /// The longest that the knowledge lives that the store has nothing.
    #[serde(deserialize_with = "positive")]
    pub negative_ttl_ms: u64,
    /// By up to so much of its time an entry ends earlier, so that what was filled together does not end together.
    #[serde(deserialize_with = "percent")]
    pub jitter_percent: u8,
    /// How long a load may take: what is filled in later is not kept.
    #[serde(deserialize_with = "positive")]
    pub load_within_ms: u64,
    /// How long a lookup waits for the load of another caller before its own caller loads.
    pub wait_ms: u64,
    /// How long the cache may take for one answer to a lookup or a fill before it counts as failing.
    #[serde(deserialize_with = "positive")]
    pub answer_within_ms: u64,
    /// How many keys one lookup may name.
    pub keys_max: usize,
    /// How many loads of a node may be under way; what is beyond is loaded and not kept.
    pub loads_max: usize,
}

impl Default for ReadThroughSettings {
    fn default() -> Self {
        Self {
            ttl_max_ms: 600_000,
            negative_ttl_ms: 5_000,
            jitter_percent: 10,
            load_within_ms: 5_000,
            wait_ms: 500,
            answer_within_ms: 250,
            keys_max: 1_024,
            loads_max: 10_000,
        }
    }
}

fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        percent @ 0..=100 => Ok(percent),
        _ => Err(D::Error::custom("must be at most 100")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for text in [
            "jitter_percent = 101",
            "load_within_ms = 0",
            "ttl_max_ms = 0",
            "unknown = 1",
        ] {
            assert!(toml::from_str::<ReadThroughSettings>(text).is_err(), "{text}");
        }
        assert!(toml::from_str::<ReadThroughSettings>("jitter_percent = 0").is_ok());
    }
}
