//! The twins that live in Redis: what a cluster of nodes shares.
//!
//! Each obeys the contract of its twin in memory. What they keep there, and how, are the rules of [`keyspace`]; here are
//! the ways to the servers. [`Link`] alone knows what the servers are to each other and types every failure.

mod fault;
mod line;
mod link;
mod pubsub;
mod queue;
mod settings;
mod streams;
mod subscription;
mod wire;

use std::sync::Arc;

pub use self::link::Link;
pub use self::queue::{Queue, QueueSettings, Way};
pub use self::settings::{CacheSettings, MetadataSettings, Settings, Topology};
pub use keyspace::Script;

/// A cache that all nodes share.
pub type Cache = keyspace::Cache<Arc<Link>>;
/// Sets of leases, and locks, that all nodes share.
pub type Metadata = keyspace::Metadata<Arc<Link>>;
