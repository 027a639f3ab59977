//! The stores of leases and locks, as one. What they promise is in [`contract::metadata`].

use contract::Fault;
use contract::metadata::Lease;

use crate::{memory, redis};

/// Leases and locks that a cluster agrees on.
#[derive(Debug)]
pub enum Metadata {
    /// In this process: a cluster of one.
    Memory(memory::Metadata),
    /// Shared by all nodes.
    Redis(redis::Metadata),
}

impl Metadata {
    /// The servers behind it, for checks and measures; none when it is in this process.
    pub fn link(&self) -> Option<&redis::Link> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(metadata) => Some(metadata.link()),
        }
    }

    /// Adds or renews leases, all or none; for each, whether the member is new.
    pub async fn put(&self, leases: Vec<Lease>) -> Result<Vec<bool>, Fault> {
        match self {
            Self::Memory(metadata) => metadata.put(leases),
            Self::Redis(metadata) => metadata.put(leases).await,
        }
    }

    /// Ends a lease; whether it was alive.
    pub async fn remove(&self, set: &str, member: &str) -> Result<bool, Fault> {
        match self {
            Self::Memory(metadata) => Ok(metadata.remove(set, member)),
            Self::Redis(metadata) => metadata.remove(set, member).await,
        }
    }

    /// The live members of each set in the order asked, members in the order of their bytes.
    pub async fn members(&self, sets: &[String]) -> Result<Vec<Vec<String>>, Fault> {
        match self {
            Self::Memory(metadata) => Ok(metadata.members(sets)),
            Self::Redis(metadata) => metadata.members(sets).await,
        }
    }

    /// How many members of a set are alive.
    pub async fn count(&self, set: &str) -> Result<u64, Fault> {
        match self {
            Self::Memory(metadata) => Ok(metadata.count(set)),
            Self::Redis(metadata) => metadata.count(set).await,
        }
    }

    /// Takes or renews a lock; its fencing number, or none when another owner has it.
    pub async fn lock(&self, name: String, owner: String, ttl_ms: u64) -> Result<Option<u64>, Fault> {
        match self {
            Self::Memory(metadata) => metadata.lock(name, owner, ttl_ms),
            Self::Redis(metadata) => metadata.lock(&name, &owner, ttl_ms).await,
        }
    }

    /// Gives a lock back; whether this owner had it.
    pub async fn unlock(&self, name: &str, owner: &str) -> Result<bool, Fault> {
        match self {
            Self::Memory(metadata) => Ok(metadata.unlock(name, owner)),
            Self::Redis(metadata) => metadata.unlock(name, owner).await,
        }
    }
}
