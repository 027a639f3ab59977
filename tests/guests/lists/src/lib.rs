//! A component that proves the lists and counters of a host's cache: each method is one call of it.

mod bindings;

use bindings::exports::test::lists::lists::{End, Guest};
use bindings::mpim::host::cache::{self, Error};

/// How long a counter lives, in milliseconds.
const TTL_MS: u64 = 600_000;

/// The component: see `wit/lists.wit` for what each method asks.
pub struct Component;

impl Guest for Component {
    async fn push(end: End, key: String, values: Vec<String>, ttl_ms: u64) -> Result<u64, Error> {
        let values = values.into_iter().map(String::into_bytes).collect();
        match end {
            End::Left => cache::push_left(key, values, ttl_ms).await,
            End::Right => cache::push_right(key, values, ttl_ms).await,
        }
    }

    async fn range(key: String, start: i64, stop: i64) -> Result<Vec<String>, Error> {
        let values = cache::range(key, start, stop).await?;
        Ok(values
            .iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect())
    }

    async fn exists(key: String) -> Result<bool, Error> {
        cache::exists(key).await
    }

    async fn decrement(key: String, by: i64) -> Result<i64, Error> {
        cache::decrement(key, by, TTL_MS).await
    }
}
