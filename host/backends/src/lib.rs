//! What stands behind the capabilities: the stores, caches and queues of the host, embedded ones first.
//!
//! This module owns storage and its promises. It knows neither WebAssembly nor what the stored things mean:
//! the capabilities translate between the two. Each kind of backend is a closed enum whose variants obey the
//! same contract (the documents of the WIT interfaces), and every failure is typed as worth a retry or not here,
//! once. Nothing here outlives a deadline: the futures may be dropped at any time.

pub mod aside;
pub mod memory;
pub mod mysql;
pub mod pool;
pub mod redis;
pub mod sqlite;

use std::time::Instant;

use contract::Fault;
use contract::cache::Exchange;
use contract::metadata::Lease;
use contract::queue::{Entry, Priority};
use contract::sql::{Error, Outcome, Row, Step, Value};

/// A relational store.
#[derive(Debug)]
pub enum Sql {
    /// One file, written by one thread of this process.
    Sqlite(sqlite::Sqlite),
    /// A server, shared by all nodes.
    Mysql(mysql::Mysql),
}

impl Sql {
    /// Writes the gauges of its connections, where it has any.
    pub fn measure(&self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Mysql(mysql) => mysql.measure(),
        }
    }

    /// The rows of a statement without effect; sees everything that was written before it was called.
    pub async fn query(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<Vec<Row>, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, params, deadline).await,
            Self::Mysql(mysql) => mysql.query(sql, params, deadline).await,
        }
    }

    /// The same where the answer may be a little old: without what was written of late, or a part of it. How old at
    /// most is a setting; a store in one file is never behind.
    pub async fn query_stale(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<Vec<Row>, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, params, deadline).await,
            Self::Mysql(mysql) => mysql.query_stale(sql, params, deadline).await,
        }
    }

    /// One write, durable when it returns; the number of rows changed.
    pub async fn execute(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<u64, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute(sql, params, deadline).await,
            Self::Mysql(mysql) => mysql.execute(sql, params, deadline).await,
        }
    }

    /// All steps in one transaction, durable when it returns, or nothing of them; one outcome a step.
    pub async fn batch(&self, steps: Vec<Step>, deadline: Instant) -> Result<Vec<Outcome>, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.batch(steps, deadline).await,
            Self::Mysql(mysql) => mysql.batch(steps, deadline).await,
        }
    }
}

/// A cache: every entry may vanish at any time.
#[derive(Debug)]
pub enum Cache {
    /// In this process.
    Memory(memory::Cache),
    /// Shared by all nodes.
    Redis(redis::Cache),
}

impl Cache {
    /// The servers behind it, for checks and measures; none when it is in this process.
    pub fn link(&self) -> Option<&redis::Link> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(cache) => Some(cache.link()),
        }
    }

    /// The value of a key, where it is there and alive.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self {
            Self::Memory(cache) => Ok(cache.get(key)),
            Self::Redis(cache) => cache.get(key).await,
        }
    }

    /// One answer a key, in the order asked.
    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        match self {
            Self::Memory(cache) => Ok(keys.iter().map(|key| cache.get(key)).collect()),
            Self::Redis(cache) => cache.get_many(keys).await,
        }
    }

    /// Sets or replaces a value for `ttl_ms` milliseconds; 0 is invalid.
    pub async fn set(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Result<(), Fault> {
        match self {
            Self::Memory(cache) => cache.set(key, value, ttl_ms),
            Self::Redis(cache) => cache.set(&key, &value, ttl_ms).await,
        }
    }

    /// Deletes a key, which may be absent.
    pub async fn delete(&self, key: &str) -> Result<(), Fault> {
        match self {
            Self::Memory(cache) => {
                cache.delete(key);
                Ok(())
            }
            Self::Redis(cache) => cache.delete(key).await,
        }
    }

    /// One answer a key, in the order asked, as the last write left it: a deleted key is absent for whoever asks
    /// after it was deleted, where [`Self::get_many`] may ask a replica that is a little behind.
    pub async fn current(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        match self {
            Self::Memory(cache) => Ok(keys.iter().map(|key| cache.get(key)).collect()),
            Self::Redis(cache) => cache.current(keys).await,
        }
    }

    /// Deletes keys, each of which may be absent. After a failure some of them may be left.
    pub async fn delete_many(&self, keys: &[String]) -> Result<(), Fault> {
        match self {
            Self::Memory(cache) => {
                keys.iter().for_each(|key| cache.delete(key));
                Ok(())
            }
            Self::Redis(cache) => cache.delete_many(keys).await,
        }
    }

    /// Sets each key that is absent to its value, for `ttl_ms` milliseconds. One answer a key, in order: none
    /// where it was set, or the value that is there and stays. Each key is set at once for all callers.
    pub async fn claim(&self, entries: Vec<(String, Vec<u8>)>, ttl_ms: u64) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        match self {
            Self::Memory(cache) => {
                let claims = entries.into_iter().map(|(key, value)| cache.claim(key, value, ttl_ms));
                claims.collect()
            }
            Self::Redis(cache) => cache.claim(entries, ttl_ms).await,
        }
    }

    /// Makes each exchange whose key has the expected value; for each, whether it was made. Nothing comes between
    /// the look and the change of a key. An exchange that takes effect late, after its caller is gone, is
    /// as good as one in time: the value is compared when it takes effect.
    pub async fn exchange(&self, exchanges: Vec<Exchange>) -> Result<Vec<bool>, Fault> {
        match self {
            Self::Memory(cache) => exchanges.into_iter().map(|exchange| cache.exchange(exchange)).collect(),
            Self::Redis(cache) => cache.exchange(exchanges).await,
        }
    }

    /// Adds to a counter and gives its new value; the time to live is that of the first add.
    pub async fn increment(&self, key: String, by: i64, ttl_ms: u64) -> Result<i64, Fault> {
        match self {
            Self::Memory(cache) => cache.increment(key, by, ttl_ms),
            Self::Redis(cache) => cache.increment(&key, by, ttl_ms).await,
        }
    }
}

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
