//! The cache, in the space of the function.

use crate::bindings::exports::mpim::host::cache::{Error, Filled, Found, Guest};
use crate::bindings::mpim::host::cache as shared;
use crate::scope::Scope;
use crate::settings::cached;

impl Guest for Scope {
    async fn lookup(keys: Vec<String>) -> Result<Vec<Found>, Error> {
        let found = shared::lookup(all(&keys)).await?;
        Ok(found.into_iter().map(Found::from).collect())
    }

    async fn fill(entries: Vec<Filled>) {
        let entries = entries.into_iter().map(shared::Filled::from);
        shared::fill(entries.collect()).await;
    }

    async fn forget(keys: Vec<String>) {
        shared::forget(all(&keys)).await;
    }

    async fn get(key: String) -> Result<Option<Vec<u8>>, Error> {
        shared::get(cached(&key)).await
    }

    async fn get_many(keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        shared::get_many(all(&keys)).await
    }

    async fn set(key: String, value: Vec<u8>, ttl_ms: u64) -> Result<(), Error> {
        shared::set(cached(&key), value, ttl_ms).await
    }

    async fn delete(key: String) -> Result<(), Error> {
        shared::delete(cached(&key)).await
    }

    async fn increment(key: String, by: i64, ttl_ms: u64) -> Result<i64, Error> {
        shared::increment(cached(&key), by, ttl_ms).await
    }

    async fn decrement(key: String, by: i64, ttl_ms: u64) -> Result<i64, Error> {
        shared::decrement(cached(&key), by, ttl_ms).await
    }

    async fn exists(key: String) -> Result<bool, Error> {
        shared::exists(cached(&key)).await
    }

    async fn push_left(key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Result<u64, Error> {
        shared::push_left(cached(&key), values, ttl_ms).await
    }

    async fn push_right(key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Result<u64, Error> {
        shared::push_right(cached(&key), values, ttl_ms).await
    }

    async fn range(key: String, start: i64, stop: i64) -> Result<Vec<Vec<u8>>, Error> {
        shared::range(cached(&key), start, stop).await
    }
}

fn all(keys: &[String]) -> Vec<String> {
    keys.iter().map(|key| cached(key)).collect()
}

impl From<shared::Found> for Found {
    fn from(found: shared::Found) -> Self {
        match found {
            shared::Found::Value(value) => Self::Value(value),
            shared::Found::Absent => Self::Absent,
            shared::Found::Load(ticket) => Self::Load(ticket),
        }
    }
}

impl From<Filled> for shared::Filled {
    fn from(filled: Filled) -> Self {
        Self {
            ticket: filled.ticket,
            value: filled.value,
            ttl_ms: filled.ttl_ms,
        }
    }
}
