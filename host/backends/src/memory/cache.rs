//! The cache in memory: bounded by bytes, each entry with its own time to live.
//!
//! Counters are kept as decimal text, so that they can be read like any other value.

use std::sync::Arc;
use std::time::Duration;

use moka::Expiry;
use moka::ops::compute::{CompResult, Op};
use serde::Deserialize;
use tokio::time::Instant;

use super::deadline::end_of;
use contract::Fault;
use contract::cache::Exchange;

/// What an entry takes beside its key and value, about.
const ENTRY_BYTES: usize = 128;

/// The settings of a cache in memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Bytes of keys and values that are kept; more push out what is used least.
    pub bytes_max: u64,
    /// Bytes of one key with its value; one more is `invalid`.
    pub entry_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bytes_max: 64 * 1024 * 1024,
            entry_bytes_max: 1024 * 1024,
        }
    }
}

/// A cache in this process.
#[derive(Debug)]
pub struct Cache {
    entries: moka::sync::Cache<String, Kept>,
    entry_bytes_max: usize,
}

#[derive(Debug, Clone)]
struct Kept {
    value: Arc<[u8]>,
    ends: Instant,
}

/// Tells the cache when it may free an entry. What a caller sees is decided by [`Kept::ends`] alone.
struct Ends;

impl Expiry<String, Kept> for Ends {
    fn expire_after_create(&self, _: &String, kept: &Kept, _: std::time::Instant) -> Option<Duration> {
        Some(kept.ends.saturating_duration_since(Instant::now()))
    }

    fn expire_after_update(
        &self,
        _: &String,
        kept: &Kept,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.ends.saturating_duration_since(Instant::now()))
    }
}

impl Cache {
    /// An empty cache.
    pub fn new(settings: &Settings) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings.bytes_max)
            .weigher(|key: &String, kept: &Kept| {
                u32::try_from(key.len() + kept.value.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
            })
            .expire_after(Ends)
            .build();
        Self {
            entries,
            entry_bytes_max: settings.entry_bytes_max,
        }
    }

    /// The value of a key, where it is there and alive.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let kept = self.entries.get(key)?;
        (Instant::now() < kept.ends).then(|| kept.value.to_vec())
    }

    /// Sets or replaces a value for `ttl_ms` milliseconds.
    pub fn set(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Result<(), Fault> {
        let ends = end_of(ttl_ms)?;
        self.fits(key.len() + value.len())?;
        self.entries.insert(
            key,
            Kept {
                value: value.into(),
                ends,
            },
        );
        Ok(())
    }

    /// Deletes a key, which may be absent. It takes its turn with [`Self::claim`], [`Self::exchange`] and
    /// [`Self::increment`] of the same key: invalidating would slip in between what they read and what they write.
    pub fn delete(&self, key: &str) {
        self.entries.entry_by_ref(key).and_compute_with(|_| Op::Remove);
    }

    /// Sets a key that is absent; otherwise gives its value and leaves it.
    pub fn claim(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Result<Option<Vec<u8>>, Fault> {
        let ends = end_of(ttl_ms)?;
        self.fits(key.len() + value.len())?;
        let mut before = None;
        self.entries.entry(key).and_compute_with(|entry| match alive(entry) {
            Some(kept) => {
                before = Some(kept.value.to_vec());
                Op::Nop
            }
            None => Op::Put(Kept {
                value: value.into(),
                ends,
            }),
        });
        Ok(before)
    }

    /// Replaces or deletes a value that is still what is expected; whether it was.
    pub fn exchange(&self, exchange: Exchange) -> Result<bool, Fault> {
        let Exchange {
            key,
            expected,
            value,
            ttl_ms,
        } = exchange;
        let ends = end_of(ttl_ms)?;
        self.fits(key.len() + value.as_ref().map_or(0, Vec::len))?;
        let mut same = false;
        self.entries.entry(key).and_compute_with(|entry| {
            same = alive(entry).is_some_and(|kept| *kept.value == *expected);
            match value {
                _ if !same => Op::Nop,
                Some(value) => Op::Put(Kept {
                    value: value.into(),
                    ends,
                }),
                None => Op::Remove,
            }
        });
        Ok(same)
    }

    /// Adds to a counter, at once for all callers, and gives its new value.
    pub fn increment(&self, key: String, by: i64, ttl_ms: u64) -> Result<i64, Fault> {
        let fresh = end_of(ttl_ms)?;
        self.fits(key.len())?;
        let mut sum = by;
        let result = self.entries.entry(key).and_try_compute_with(|entry| {
            let kept = alive(entry);
            let (before, ends) = match &kept {
                Some(kept) => (number(&kept.value)?, kept.ends),
                None => (0, fresh),
            };
            sum = before
                .checked_add(by)
                .ok_or_else(|| Fault::Invalid("the counter would overflow".to_owned()))?;
            Ok::<_, Fault>(Op::Put(Kept {
                value: sum.to_string().into_bytes().into(),
                ends,
            }))
        })?;
        debug_assert!(
            !matches!(result, CompResult::Unchanged(_) | CompResult::StillNone(_)),
            "a sum is always kept"
        );
        Ok(sum)
    }

    fn fits(&self, bytes: usize) -> Result<(), Fault> {
        if bytes > self.entry_bytes_max {
            return Err(Fault::Invalid(format!(
                "a key with its value has at most {} bytes",
                self.entry_bytes_max
            )));
        }
        Ok(())
    }
}

/// What an entry holds whose time has not ended.
fn alive(entry: Option<moka::Entry<String, Kept>>) -> Option<Kept> {
    entry
        .map(moka::Entry::into_value)
        .filter(|kept| Instant::now() < kept.ends)
}

/// The number of a counter, written as this cache writes it.
fn number(value: &[u8]) -> Result<i64, Fault> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok().filter(|number: &i64| number.to_string() == text))
        .ok_or_else(|| Fault::Invalid("the value of this key is no counter".to_owned()))
}
