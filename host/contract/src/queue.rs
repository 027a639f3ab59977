//! Ordered, bounded queues by topic. A queue is a hint: it may lose entries when a backend dies.
//!
//! - `publish` gives an id that grows with every entry of the topic. A full topic is `Overloaded`, never a silent drop.
//! - `receive` gives entries that no consumer of the group has had, by priority and then by age; a lower priority that
//!   waits has its turn after a bounded number of others. An entry that is not ended in time is given again.
//! - `ack` ends entries for the group and gives how many were open. Safe to repeat.
//! - `drain` takes over what other consumers of the group have open; `replay` reads and ends nothing.

/// How urgent an entry of a queue is; a greater one is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Waits for everything else, in turn.
    Low,
    /// The usual.
    Normal,
    /// Before the usual.
    High,
    /// Overtakes everything.
    Urgent,
}

/// An entry of a queue, as a consumer receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Grows with every entry of a topic.
    pub id: u64,
    /// The priority it was published with.
    pub priority: Priority,
    /// What was published.
    pub payload: Vec<u8>,
}
