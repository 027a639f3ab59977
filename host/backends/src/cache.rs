//! The caches, as one. What a cache promises is in [`contract::cache`].

use contract::Fault;
use contract::cache::{End, Exchange};

use crate::{memory, redis};

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
            Self::Memory(cache) => cache.get(key),
            Self::Redis(cache) => cache.get(key).await,
        }
    }

    /// One answer a key, in the order asked.
    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        match self {
            Self::Memory(cache) => Ok(cache.get_many(keys)),
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
            Self::Memory(cache) => Ok(cache.get_many(keys)),
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

    /// Takes from a counter; otherwise as [`Self::increment`].
    pub async fn decrement(&self, key: String, by: i64, ttl_ms: u64) -> Result<i64, Fault> {
        match self {
            Self::Memory(cache) => cache.decrement(key, by, ttl_ms),
            Self::Redis(cache) => cache.decrement(&key, by, ttl_ms).await,
        }
    }

    /// Whether a key holds anything.
    pub async fn exists(&self, key: &str) -> Result<bool, Fault> {
        match self {
            Self::Memory(cache) => Ok(cache.exists(key)),
            Self::Redis(cache) => cache.exists(key).await,
        }
    }

    /// Pushes values to one end of a list, all or none, and gives its new length; the time to live is that of the push
    /// that began it.
    pub async fn push(&self, end: End, key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Result<u64, Fault> {
        match self {
            Self::Memory(cache) => cache.push(end, key, values, ttl_ms),
            Self::Redis(cache) => cache.push(end, &key, values, ttl_ms).await,
        }
    }

    /// The values of a list from one index to another, both included; negative ones count from the end.
    pub async fn range(&self, key: &str, start: i64, stop: i64) -> Result<Vec<Vec<u8>>, Fault> {
        match self {
            Self::Memory(cache) => cache.range(key, start, stop),
            Self::Redis(cache) => cache.range(key, start, stop).await,
        }
    }
}
