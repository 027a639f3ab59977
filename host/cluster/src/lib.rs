//! This node among others on the same storage: who is alive, what the dead leave behind, and what runs on one node
//! at a time.
//!
//! A node is alive while its lease in the metadata store is; nothing else is asked. What a node finds out in this
//! way it says as an [`Event`]: connections of a dead node are to be swept, and whoever may have missed something is to be
//! told to catch up. The queue of a dead node is published anew to those that live. All of it may happen twice
//! or late without harm: the store of messages is the truth, and everything here makes it heard sooner. Knows no
//! message and no function.

mod event;
mod failover;
mod member;
mod workers;

pub use event::Event;
pub use member::Member;
pub use workers::{ClaimError, Worker};
