//! Reading a store through the cache; see `mpim:host/cache` for what is promised.
//!
//! A component says what it wants by key and how the missing is loaded: [`cached`] looks all keys up at once, loads all
//! that are missing at once, and fills them in at once. Whoever writes calls [`forget_after`] with the outcome of
//! the write. A layout that changes wants another name of its keys: components of two versions may run
//! at the same time, and each forgets both names until the older is gone.
//!
//! What never changes once it is written needs none of that: [`put`] and [`at_hand`] write and read it by themselves,
//! under keys that [`cached`] does not know. They may read what is a little behind, and they fail without an error. A
//! cache that answers no more would hold every call of theirs for its whole timeout: a breaker lets it rest instead.

mod list;
mod value;

use crate::bindings::mpim::host::cache::{Filled, Found};
use crate::{Error, breaker, import, sql, telemetry};

pub use list::{push_left, push_right, range};
pub use value::Cached;
use value::{decode, encode};

/// The name of the breaker of [`put`] and [`at_hand`].
const BREAKER: &str = "cache";

/// How long what was loaded is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    ttl_ms: u64,
    absence: bool,
}

impl Keep {
    /// Keeps values for at most so long, and for a shorter time of the host's that there is none.
    #[must_use]
    pub const fn for_ms(ttl_ms: u64) -> Self {
        Self { ttl_ms, absence: true }
    }

    /// Keeps values only: for what may come into being without anyone forgetting that it was not there.
    #[must_use]
    pub const fn values_only(self) -> Self {
        Self { absence: false, ..self }
    }

    fn ttl_ms(self, is_value: bool) -> u64 {
        if is_value || self.absence { self.ttl_ms } else { 0 }
    }
}

/// The values of some keys, in the order asked. Those that are not cached are loaded with one call, which is given the
/// indexes of the missing keys and answers one for each, in that order: none where the store has nothing.
pub async fn cached<T: Cached>(
    keys: Vec<String>,
    keep: Keep,
    load: impl AsyncFnOnce(&[usize]) -> Result<Vec<Option<T>>, Error>,
) -> Result<Vec<Option<T>>, Error> {
    let mut values: Vec<Option<T>> = Vec::with_capacity(keys.len());
    let (mut missing, mut tickets) = (Vec::new(), Vec::new());
    for (index, found) in lookup(keys).await?.into_iter().enumerate() {
        let (value, ticket) = match found {
            Found::Absent => (None, None),
            Found::Load(ticket) => (None, Some(ticket)),
            // What cannot be read was written by a component of another version: it is loaded, and not replaced.
            Found::Value(bytes) => match decode(&bytes) {
                Some(value) => (Some(value), None),
                None => (None, Some(0)),
            },
        };
        values.push(value);
        if let Some(ticket) = ticket {
            missing.push(index);
            tickets.push(ticket);
        }
    }
    if missing.is_empty() {
        return Ok(values);
    }
    let loaded = match load(&missing).await {
        Ok(loaded) => loaded,
        Err(error) => {
            fill(tickets.into_iter().map(given_up).collect()).await;
            return Err(error);
        }
    };
    let filled = tickets.iter().zip(&loaded).map(|(ticket, value)| Filled {
        ticket: *ticket,
        value: value.as_ref().map(encode),
        ttl_ms: keep.ttl_ms(value.is_some()),
    });
    fill(filled.filter(|filled| filled.ticket != 0).collect()).await;
    for (index, value) in missing.into_iter().zip(loaded) {
        if let Some(at) = values.get_mut(index) {
            *at = value;
        }
    }
    Ok(values)
}

/// The value of one key; see [`cached`].
pub async fn cached_one<T: Cached>(
    key: String,
    keep: Keep,
    load: impl AsyncFnOnce() -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let mut values = cached(vec![key], keep, async |_| Ok(vec![load().await?])).await?;
    Ok(values.pop().flatten())
}

/// Forgets what a write has changed: to be called as soon as its outcome is there. Also a write whose outcome is unknown
/// is forgotten; one that was refused has changed nothing.
pub async fn forget_after<T>(outcome: &Result<T, sql::Error>, keys: Vec<String>) {
    let refused = matches!(
        outcome,
        Err(sql::Error::Unmet(_) | sql::Error::UniqueViolation(_) | sql::Error::Invalid(_))
    );
    if !refused {
        forget(keys).await;
    }
}

/// Forgets keys.
pub async fn forget(keys: Vec<String>) {
    import!(async crate::bindings::mpim::host::cache, forget, forget(keys));
}

/// What was [`set`] under some keys, in the order asked; none also where it cannot be read, since a component of another
/// version wrote it. These are not the keys of [`cached`].
pub async fn get_many<T: Cached>(keys: Vec<String>) -> Result<Vec<Option<T>>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let found = import!(async crate::bindings::mpim::host::cache, get_many, get_cached(keys))?;
    Ok(found.into_iter().map(|bytes| decode(&bytes?)).collect())
}

/// Replaces what is under a key, for a while: what a writer knows and readers need not find in the store yet.
pub async fn set<T: Cached>(key: String, value: &T, ttl_ms: u64) -> Result<(), Error> {
    let value = encode(value);
    Ok(import!(async crate::bindings::mpim::host::cache, set, set_cached(key, value, ttl_ms))?)
}

/// Whether anything is under a key that was [`set`], counted or pushed to.
pub async fn exists(key: String) -> Result<bool, Error> {
    Ok(import!(async crate::bindings::mpim::host::cache, exists, exists_cached(key))?)
}

/// Adds to a counter and gives its new value; it lives as long as the first add says.
pub async fn increment(key: String, by: i64, ttl_ms: u64) -> Result<i64, Error> {
    Ok(import!(async crate::bindings::mpim::host::cache, increment, increment_cached(key, by, ttl_ms))?)
}

/// Takes from a counter and gives its new value.
pub async fn decrement(key: String, by: i64, ttl_ms: u64) -> Result<i64, Error> {
    Ok(import!(async crate::bindings::mpim::host::cache, decrement, decrement_cached(key, by, ttl_ms))?)
}

/// Writes a value that never changes, for whoever finds it [`at_hand`]. What cannot be written is counted.
pub async fn put<T: Cached>(key: String, value: &T, ttl_ms: u64) {
    if guarded(set(key, value, ttl_ms)).await.is_none() {
        telemetry::count("mpim_cache_puts_lost", 1);
    }
}

/// The values that were [`put`] under some keys, in the order asked; none for what is not there or cannot be read.
pub async fn at_hand<T: Cached>(keys: Vec<String>) -> Vec<Option<T>> {
    let count = keys.len();
    match guarded(get_many(keys)).await {
        Some(found) if found.len() == count => found,
        _ => std::iter::repeat_with(|| None).take(count).collect(),
    }
}

async fn guarded<T>(call: impl Future<Output = Result<T, Error>>) -> Option<T> {
    if !breaker::allow(BREAKER) {
        return None;
    }
    let answer = call.await;
    // A refusal is an answer.
    breaker::report(BREAKER, answer.as_ref().err().is_none_or(|error| !error.retryable));
    answer.ok()
}

async fn lookup(keys: Vec<String>) -> Result<Vec<Found>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    Ok(import!(async crate::bindings::mpim::host::cache, lookup, lookup(keys))?)
}

async fn fill(entries: Vec<Filled>) {
    if !entries.is_empty() {
        import!(async crate::bindings::mpim::host::cache, fill, fill(entries));
    }
}

fn given_up(ticket: u64) -> Filled {
    Filled {
        ticket,
        value: None,
        ttl_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let value = (7_u64, "é".to_owned(), vec![(1_u64, 2_u8), (3, 4)]);
        let bytes = encode(&value);
        assert_eq!(decode::<(u64, String, Vec<(u64, u8)>)>(&bytes), Some(value));
        assert_eq!(decode::<(u64, String)>(&bytes), None, "bytes are left over");
        for end in 0..bytes.len() {
            assert_eq!(decode::<(u64, String, Vec<(u64, u8)>)>(&bytes[..end]), None);
        }
        assert_eq!(decode::<Vec<u64>>(&[255; 4]), None, "a length alone reserves nothing");
    }
}
