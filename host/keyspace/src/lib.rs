//! What a cluster of mpim keeps in Redis: the keys, the scripts that change them, and what the values say.
//!
//! Whoever shares a Redis with a cluster, a node of it or a function on Spin, does so by these rules. Commands and
//! answers are carried by a [`Link`], of which there is more than one kind; this crate owns no connection, waits for
//! nothing but answers, and compiles to WebAssembly as well. Everything that decides about time does so by the clock of
//! the server, so that all agree; and every change of more than one thing is one script, so that nobody sees half of it.

mod cache;
pub mod claim;
mod join;
mod link;
mod metadata;
mod script;
pub mod topic;
mod topics;

pub use self::cache::Cache;
pub use self::join::try_join_all;
pub use self::link::Link;
pub use self::metadata::Metadata;
pub use self::script::Script;
pub use self::topics::{Full, Look, Taken, TopicSettings, Topics, entry};
