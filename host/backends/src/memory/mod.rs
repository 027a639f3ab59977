//! The twins that live in the memory of this process: what one node needs, and nothing that outlives it.
//!
//! Each is bounded by its settings and frees what has ended without a thread or a timer of its own. Time is that of
//! tokio, so that tests may hold it. A lock is only held between two statements of plain memory, never across a
//! wait.

mod cache;
mod lane;
mod metadata;
mod queue;
mod topic;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Fault;

pub use self::cache::{Cache, Settings as CacheSettings};
pub use self::metadata::{Metadata, Settings as MetadataSettings};
pub use self::queue::{Queue, Settings as QueueSettings};

/// Nothing here lives longer than this: a hundred years.
const TTL_MAX_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// When something ends that lives for `ttl_ms` from now.
fn end_of(ttl_ms: u64) -> Result<Instant, Fault> {
    if ttl_ms == 0 {
        return Err(Fault::Invalid("a time to live of 0 is no life".to_owned()));
    }
    Ok(Instant::now() + Duration::from_millis(ttl_ms.min(TTL_MAX_MS)))
}

/// Takes a lock whose holder may have panicked: what it guards is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
