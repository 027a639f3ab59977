//! The queues, as one. What a queue promises is in [`contract::queue`].

use contract::Fault;
use contract::queue::{Entry, Priority};

use crate::{memory, redis};

/// Ordered, bounded queues by topic.
#[derive(Debug)]
pub enum Queue {
    /// In this process; empty after a restart.
    Memory(memory::Queue),
    /// In Redis: what all nodes publish and receive.
    Redis(Box<redis::Queue>),
}

impl Queue {
    /// The servers behind it, for checks and measures; none when it is in this process.
    pub fn link(&self) -> Option<&redis::Link> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(queue) => Some(queue.link()),
        }
    }

    /// Appends to a topic; the id of the entry.
    pub async fn publish(&self, topic: &str, priority: Priority, payload: Vec<u8>) -> Result<u64, Fault> {
        match self {
            Self::Memory(queue) => queue.publish(topic, priority, payload),
            Self::Redis(queue) => queue.publish(topic, priority, payload).await,
        }
    }

    /// Up to `max` entries for a group of consumers; waits up to `wait_ms` milliseconds for the first.
    pub async fn receive(&self, topic: &str, group: &str, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Fault> {
        match self {
            Self::Memory(queue) => queue.receive(topic, group, max, wait_ms).await,
            Self::Redis(queue) => queue.receive(topic, group, max, wait_ms).await,
        }
    }

    /// Ends entries for a group; how many were open.
    pub async fn ack(&self, topic: &str, group: &str, ids: &[u64]) -> Result<u32, Fault> {
        match self {
            Self::Memory(queue) => Ok(queue.ack(topic, group, ids)),
            Self::Redis(queue) => queue.ack(topic, group, ids).await,
        }
    }

    /// Takes a topic over from consumers that are gone: up to `max` entries that the group has not ended, also those
    /// that another consumer has open, at once. They are this consumer's from then on; until they are ended the next
    /// drain gives them again.
    pub async fn drain(&self, topic: &str, group: &str, max: u32) -> Result<Vec<Entry>, Fault> {
        match self {
            Self::Memory(queue) => queue.drain(topic, group, max),
            Self::Redis(queue) => queue.drain(topic, group, max).await,
        }
    }

    /// Up to `max` entries after an id that the topic still has, oldest first, open or ended: for an operator, or a
    /// consumer that starts over. Gives nobody anything and ends nothing.
    pub async fn replay(&self, topic: &str, after: u64, max: u32) -> Result<Vec<Entry>, Fault> {
        match self {
            Self::Memory(queue) => Ok(queue.replay(topic, after, max)),
            Self::Redis(queue) => queue.replay(topic, after, max).await,
        }
    }

    /// Forgets a topic, with its groups, if it keeps no entry and nobody is using it at this moment; whether it
    /// is gone.
    pub async fn remove_topic(&self, topic: &str) -> Result<bool, Fault> {
        match self {
            Self::Memory(queue) => Ok(queue.remove_topic(topic)),
            Self::Redis(queue) => queue.remove_topic(topic).await,
        }
    }
}
