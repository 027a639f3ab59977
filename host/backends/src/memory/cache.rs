//! The cache in memory: bounded by bytes, each entry with its own time to live.
//!
//! Counters are kept as decimal text, so that they can be read like any other value. A list is copied by each push: its
//! bytes are shared, and its length is bounded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use moka::Expiry;
use moka::ops::compute::{CompResult, Op};
use tokio::time::Instant;

use super::deadline::end_of;
use config::MemoryCacheSettings;
use contract::Fault;
use contract::cache::{Bounds, End, Exchange, Refusal, negative, span};

/// What an entry takes beside its key and value, about.
const ENTRY_BYTES: usize = 128;
/// What a value of a list takes beside its bytes, about.
const VALUE_BYTES: usize = 48;

/// A cache in this process.
#[derive(Debug)]
pub struct Cache {
    entries: moka::sync::Cache<String, Kept>,
    bounds: Bounds,
}

#[derive(Debug, Clone)]
struct Kept {
    value: Value,
    ends: Instant,
}

/// What a key holds.
#[derive(Debug, Clone)]
enum Value {
    Bytes(Arc<[u8]>),
    List(VecDeque<Arc<[u8]>>),
}

impl Value {
    fn of(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }

    fn bytes(&self) -> Result<&[u8], Fault> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::List(_) => Err(Refusal::OtherKind.into()),
        }
    }

    fn list(&self) -> Result<&VecDeque<Arc<[u8]>>, Fault> {
        match self {
            Self::List(values) => Ok(values),
            Self::Bytes(_) => Err(Refusal::OtherKind.into()),
        }
    }

    /// What it takes of the memory, about.
    fn weight(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) => values.iter().map(|value| value.len() + VALUE_BYTES).sum(),
        }
    }
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
    pub fn new(settings: &MemoryCacheSettings) -> Self {
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings.bytes_max)
            .weigher(|key: &String, kept: &Kept| {
                u32::try_from(key.len() + kept.value.weight() + ENTRY_BYTES).unwrap_or(u32::MAX)
            })
            .expire_after(Ends)
            .build();
        Self {
            entries,
            bounds: Bounds {
                entry_bytes_max: settings.entry_bytes_max,
                list_length_max: settings.list_length_max,
                list_value_bytes_max: settings.list_value_bytes_max,
            },
        }
    }

    /// The value of a key, where it is there and alive.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let kept = self.kept(key);
        kept.map(|kept| kept.value.bytes().map(<[u8]>::to_vec)).transpose()
    }

    /// One answer a key, in the order asked; none where a key holds a list.
    pub fn get_many(&self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
        keys.iter().map(|key| self.get(key).ok().flatten()).collect()
    }

    /// Whether a key holds anything that is alive.
    pub fn exists(&self, key: &str) -> bool {
        self.kept(key).is_some()
    }

    fn kept(&self, key: &str) -> Option<Kept> {
        self.entries.get(key).filter(|kept| Instant::now() < kept.ends)
    }

    /// Sets or replaces a value for `ttl_ms` milliseconds.
    pub fn set(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Result<(), Fault> {
        let ends = end_of(ttl_ms)?;
        self.bounds.fits(&key, value.len())?;
        let value = Value::of(value);
        self.entries.insert(key, Kept { value, ends });
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
        self.bounds.fits(&key, value.len())?;
        let mut before = None;
        self.entries
            .entry(key)
            .and_try_compute_with(|entry| match alive(entry) {
                Some(kept) => {
                    before = Some(kept.value.bytes()?.to_vec());
                    Ok::<_, Fault>(Op::Nop)
                }
                None => {
                    let value = Value::of(value);
                    Ok(Op::Put(Kept { value, ends }))
                }
            })?;
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
        self.bounds.fits(&key, value.as_ref().map_or(0, Vec::len))?;
        let mut same = false;
        self.entries.entry(key).and_try_compute_with(|entry| {
            if let Some(kept) = alive(entry) {
                same = kept.value.bytes()? == expected;
            }
            Ok::<_, Fault>(match value.map(Value::of) {
                _ if !same => Op::Nop,
                Some(value) => Op::Put(Kept { value, ends }),
                None => Op::Remove,
            })
        })?;
        Ok(same)
    }

    /// Adds to a counter, at once for all callers, and gives its new value.
    pub fn increment(&self, key: String, by: i64, ttl_ms: u64) -> Result<i64, Fault> {
        let fresh = end_of(ttl_ms)?;
        self.bounds.fits(&key, 0)?;
        let mut sum = by;
        let result = self.entries.entry(key).and_try_compute_with(|entry| {
            let kept = alive(entry);
            let (before, ends) = match &kept {
                Some(kept) => (number(kept.value.bytes()?)?, kept.ends),
                None => (0, fresh),
            };
            sum = before.checked_add(by).ok_or(Refusal::Overflow)?;
            let value = Value::of(sum.to_string().into_bytes());
            Ok::<_, Fault>(Op::Put(Kept { value, ends }))
        })?;
        debug_assert!(
            !matches!(result, CompResult::Unchanged(_) | CompResult::StillNone(_)),
            "a sum is always kept"
        );
        Ok(sum)
    }

    /// Takes from a counter; otherwise as [`Self::increment`].
    pub fn decrement(&self, key: String, by: i64, ttl_ms: u64) -> Result<i64, Fault> {
        self.increment(key, negative(by)?, ttl_ms)
    }

    /// Pushes values to one end of a list, all or none, and gives the new length.
    pub fn push(&self, end: End, key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Result<u64, Fault> {
        let fresh = end_of(ttl_ms)?;
        self.bounds.fits_push(&key, &values)?;
        let mut length = 0;
        self.entries.entry(key).and_try_compute_with(|entry| {
            let (mut list, ends) = match alive(entry) {
                Some(kept) => (kept.value.list()?.clone(), kept.ends),
                None => (VecDeque::new(), fresh),
            };
            self.bounds.fits_list(list.len().saturating_add(values.len()))?;
            for value in values {
                match end {
                    End::Left => list.push_front(value.into()),
                    End::Right => list.push_back(value.into()),
                }
            }
            length = list.len();
            let value = Value::List(list);
            Ok::<_, Fault>(Op::Put(Kept { value, ends }))
        })?;
        Ok(u64::try_from(length).unwrap_or(u64::MAX))
    }

    /// The values of a list from one index to another, both included.
    pub fn range(&self, key: &str, start: i64, stop: i64) -> Result<Vec<Vec<u8>>, Fault> {
        let Some(kept) = self.kept(key) else {
            return Ok(Vec::new());
        };
        let list = kept.value.list()?;
        let values = list.range(span(start, stop, list.len()));
        Ok(values.map(|value| value.to_vec()).collect())
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
        .ok_or_else(|| Refusal::NoCounter.into())
}
