//! The twins that live in Redis: what a cluster of nodes shares.
//!
//! Each obeys the contract of its twin in memory. Everything that decides about time does so by the clock of the
//! server, so nodes whose clocks differ agree; and every change of more than one thing is one script, so two nodes
//! never see half of one. [`Link`] alone knows what the servers are to each other and types every failure.

mod cache;
mod fault;
mod gather;
mod line;
mod link;
mod metadata;
mod pubsub;
mod queue;
mod script;
mod settings;
mod streams;
mod subscription;
mod topic;
mod wire;

pub use self::cache::{Cache, CacheSettings};
pub use self::link::Link;
pub use self::metadata::{Metadata, MetadataSettings};
pub use self::queue::{Queue, QueueSettings, Way};
pub use self::script::Script;
pub use self::settings::{Settings, Topology};
