//! The time, and names that nothing else has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since the epoch.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A name that nothing else has, so that runs on one server do not meet.
pub(crate) fn unique() -> String {
    format!("{:x}-{:x}", std::process::id(), now().as_nanos())
}
