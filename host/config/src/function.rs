//! What one function may have: limits, settings, and bounds on what it logs and measures.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::rate::Rate;

/// `[component.NAME.tool.mpim]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FunctionSettings {
    /// The file of the component alone, where `source` names one that is composed for Spin.
    pub component: Option<String>,
    /// Interfaces, without their versions, whose methods clients may call. All others are private.
    pub public: Vec<String>,
    /// Methods of which a second identical call does no harm: they may be called again when it is not known what became
    /// of the first, and in batches.
    pub safe_to_repeat: Vec<String>,
    /// Sandboxes that are made at the start and kept.
    pub min_warm: u32,
    /// Sandboxes that may exist at once.
    pub max_sandboxes: u32,
    /// Calls that may wait for a sandbox; one more is `overloaded`.
    pub waiting_max: usize,
    /// Calls that one sandbox serves before it is thrown away; 1 is a fresh one for each call.
    pub max_reuse: u32,
    /// A sandbox beyond `min_warm` that was idle for so long is thrown away.
    pub idle_timeout_ms: u64,
    /// The longest that a call may take, waiting included.
    pub deadline_ms: u64,
    /// Largest linear memory of a sandbox, in MiB.
    pub memory_mib: usize,
    /// What the component reads as its settings.
    pub config: BTreeMap<String, ConfigValue>,
    /// The space of the keys that the function has in the cache: its own name unless it is given. Functions that
    /// name the same space share their keys, and what one of them changes it can forget for all.
    pub cache_space: Option<String>,
    /// The token buckets that the component may name.
    pub rates: BTreeMap<String, Rate>,
}

impl Default for FunctionSettings {
    fn default() -> Self {
        Self {
            public: Vec::new(),
            safe_to_repeat: Vec::new(),
            min_warm: 1,
            max_sandboxes: 64,
            waiting_max: 4096,
            max_reuse: 10_000,
            idle_timeout_ms: 30_000,
            deadline_ms: 5_000,
            component: None,
            memory_mib: 16,
            config: BTreeMap::new(),
            rates: BTreeMap::new(),
            cache_space: None,
        }
    }
}

/// A setting of a component: text, a number or a truth value in the manifest, text for the component.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ConfigValue {
    /// As it is.
    Text(String),
    /// In decimal.
    Integer(i64),
    /// `true` or `false`.
    Truth(bool),
}

impl std::fmt::Display for ConfigValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Integer(number) => number.fmt(formatter),
            Self::Truth(truth) => truth.fmt(formatter),
        }
    }
}

/// Bounds on what components log and measure.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Lines a second that one function may log; more are counted and dropped.
    pub log_lines_per_second: u32,
    /// Bytes of one line, with its fields; the rest is cut off.
    pub log_line_max_bytes: usize,
    /// Metric names, each with its labels, that one function may use; more are counted and dropped.
    pub series_max: usize,
    /// Bytes of a metric's name and labels together; a longer one is counted and dropped.
    pub series_bytes_max: usize,
    /// Buckets by name and key that one function may fill for rate limits at once.
    pub rate_keys_max: usize,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log_lines_per_second: 100,
            log_line_max_bytes: 4096,
            series_max: 256,
            series_bytes_max: 1024,
            rate_keys_max: 100_000,
        }
    }
}

/// Argon2id parameters; the defaults are those of RFC 9106's successor advice by OWASP
/// (19 MiB, two passes, one lane), and those that `password::Cost` has for hosts without settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordSettings {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Hashes computed at once.
    pub parallel_max: usize,
    /// Hashes that may wait; one more is `overloaded`.
    pub waiting_max: usize,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            parallel_max: 2,
            waiting_max: 256,
        }
    }
}
