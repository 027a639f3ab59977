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

use contract::{Fault, life_of};
use tokio::time::Instant;

pub use self::cache::{Cache, Settings as CacheSettings};
pub use self::metadata::{Metadata, Settings as MetadataSettings};
pub use self::queue::{Queue, Settings as QueueSettings};

/// When something ends that lives for `ttl_ms` from now.
fn end_of(ttl_ms: u64) -> Result<Instant, Fault> {
    Ok(Instant::now() + Duration::from_millis(life_of(ttl_ms)?))
}

/// Takes a lock whose holder may have panicked: what it guards is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
