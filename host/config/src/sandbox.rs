//! Sandboxes of all functions together.

use serde::Deserialize;

use crate::positive::positive;

/// What all functions share.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// How many sandboxes all functions may have together.
    pub total_max: u32,
    /// Largest linear memory of a sandbox that a function may ask for, in MiB.
    pub memory_max_mib: usize,
    /// Core modules that one component may be made of, those that adapt its imports included. A component of Rust is
    /// made of about four, one of Python of fourteen: the interpreter and its libraries are modules of their own.
    pub core_instances_max: u32,
    /// Bytes of a linear memory that stay resident between two sandboxes in the same slot.
    pub keep_resident_bytes: usize,
    /// The grain of deadlines of running code.
    #[serde(deserialize_with = "positive")]
    pub epoch_tick_ms: u64,
    /// How deep functions may call each other.
    pub depth_max: u32,
    /// Bytes that one call may move from a sandbox to the host at once.
    pub transfer_max_bytes: usize,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            total_max: 512,
            memory_max_mib: 64,
            core_instances_max: 16,
            keep_resident_bytes: 128 * 1024,
            epoch_tick_ms: 5,
            depth_max: 8,
            transfer_max_bytes: 8 * 1024 * 1024,
        }
    }
}
