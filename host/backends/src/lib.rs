//! What stands behind the capabilities: the stores, caches and queues of the host, embedded ones first.
//!
//! This crate owns storage and keeps its promises. It knows neither WebAssembly nor what the stored things mean:
//! the capabilities translate between the two. Each kind of backend is a closed enum whose variants obey the
//! same contract (the crate `contract`), and every failure is typed as worth a retry or not here,
//! once. Nothing here outlives a deadline: the futures may be dropped at any time.

mod cache;
pub mod memory;
mod metadata;
pub mod mysql;
pub mod pool;
mod queue;
pub mod read_through;
pub mod redis;
mod sql;
pub mod sqlite;

#[cfg(test)]
mod tests;

pub use self::cache::Cache;
pub use self::metadata::Metadata;
pub use self::queue::Queue;
pub use self::sql::Sql;
