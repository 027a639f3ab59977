//! The backends that live in the memory of this process: what one node needs, and nothing that outlives it.
//!
//! Each is bounded by its settings and frees what has ended without a thread or a timer of its own. Time is that of
//! tokio, so that tests may hold it. A lock is only held between two statements of plain memory, never across a
//! wait.

mod cache;
mod deadline;
mod metadata;
mod mutex;
mod queue;

#[cfg(test)]
mod tests;

pub use self::cache::Cache;
pub use self::metadata::Metadata;
pub use self::queue::Queue;
