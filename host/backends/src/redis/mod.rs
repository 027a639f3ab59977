//! The backends that live in Redis: what a cluster of nodes shares.
//!
//! Each obeys the contract that the one in memory obeys. What they keep in Redis, and how, are the rules of
//! [`keyspace`]; this is how commands come to the servers. [`Link`] alone knows what the servers are to each other and
//! types every failure.

mod address;
mod cache;
mod fault;
mod line;
mod link;
mod metadata;
mod queue;
mod wire;

pub use self::cache::{Cache, open_cache};
pub use self::link::Link;
pub use self::metadata::{Metadata, open_metadata};
pub use self::queue::Queue;
