//! The cache, by the rules of [`keyspace`].
//!
//! Lookups, fills and forgets follow the protocol of claims, so that functions here and nodes of our own host can
//! share a cache and never see what was forgotten. A request does not wait here for another one that loads the same
//! key: it loads for itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use contract::cache::{Bounds, End, Exchange};
use keyspace::claim::{self, Known};

use crate::Backend;
use crate::bindings::exports::mpim::host::cache::{Error, Filled, Found, Guest};
use crate::link::Link;
use crate::patience::random;

/// Keys of one lookup.
const KEYS_MAX: usize = 1_024;
/// How long a load may take, in milliseconds: what is filled in later is not kept.
const LOAD_WITHIN_MS: u64 = 5_000;
/// The longest that an entry lives, and the knowledge that there is none, in milliseconds.
const TTL_MAX_MS: u64 = 600_000;
const NEGATIVE_TTL_MS: u64 = 5_000;
/// By up to so much of its time an entry ends earlier, in percent.
const JITTER: u64 = 10;
/// Loads that may be under way; what is beyond is loaded and not kept.
const LOADS_MAX: usize = 1_024;

type Cache = keyspace::Cache<&'static Link>;

/// The loads of this instance.
#[derive(Default)]
struct Loads {
    origin: [u8; 16],
    last: u64,
    /// The key and the claim of each ticket.
    tickets: BTreeMap<u64, (String, Vec<u8>)>,
}

thread_local! {
    static CACHE: Rc<Cache> = Rc::new(Cache::new(Box::leak(Box::new(Link::new("cache"))), Bounds::default()));
    static LOADS: RefCell<Loads> = RefCell::new(Loads { origin: origin(), ..Loads::default() });
}

fn cache() -> Rc<Cache> {
    CACHE.with(Rc::clone)
}

/// What makes claims of this instance unlike those of any other.
fn origin() -> [u8; 16] {
    let mut origin = [0; 16];
    for (slot, byte) in origin
        .iter_mut()
        .zip(random().to_be_bytes().into_iter().chain(random().to_be_bytes()))
    {
        *slot = byte;
    }
    origin
}

/// The keys of lookups are others than those of `get`. No name of a function begins as these do.
fn looked_up(keys: &[String]) -> Vec<String> {
    keys.iter().map(|key| format!("~{key}")).collect()
}

impl Guest for Backend {
    async fn lookup(keys: Vec<String>) -> Result<Vec<Found>, Error> {
        if keys.len() > KEYS_MAX {
            return Err(Error::Invalid(format!("a lookup names at most {KEYS_MAX} keys")));
        }
        Ok(lookup(&looked_up(&keys)).await)
    }

    async fn fill(entries: Vec<Filled>) {
        let exchanges: Vec<Exchange> = entries.into_iter().filter_map(exchange).collect();
        if !exchanges.is_empty() {
            // What cannot be kept is not: nothing here is an error.
            let _ = cache().exchange(exchanges).await;
        }
    }

    async fn forget(keys: Vec<String>) {
        if let Err(fault) = cache().delete_many(&looked_up(&keys)).await {
            eprintln!(
                "{{\"level\":\"warn\",\"message\":\"the cache did not forget; its entries end by themselves\",\"fault\":{:?}}}",
                fault.to_string()
            );
        }
    }

    async fn get(key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(cache().get(&key).await?)
    }

    async fn get_many(keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        Ok(cache().get_many(&keys).await?)
    }

    async fn set(key: String, value: Vec<u8>, ttl_ms: u64) -> Result<(), Error> {
        Ok(cache().set(&key, &value, ttl_ms).await?)
    }

    async fn delete(key: String) -> Result<(), Error> {
        Ok(cache().delete(&key).await?)
    }

    async fn increment(key: String, by: i64, ttl_ms: u64) -> Result<i64, Error> {
        Ok(cache().increment(&key, by, ttl_ms).await?)
    }

    async fn decrement(key: String, by: i64, ttl_ms: u64) -> Result<i64, Error> {
        Ok(cache().decrement(&key, by, ttl_ms).await?)
    }

    async fn exists(key: String) -> Result<bool, Error> {
        Ok(cache().exists(&key).await?)
    }

    async fn push_left(key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Result<u64, Error> {
        Ok(cache().push(End::Left, &key, values, ttl_ms).await?)
    }

    async fn push_right(key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Result<u64, Error> {
        Ok(cache().push(End::Right, &key, values, ttl_ms).await?)
    }

    async fn range(key: String, start: i64, stop: i64) -> Result<Vec<Vec<u8>>, Error> {
        Ok(cache().range(&key, start, stop).await?)
    }
}

/// One answer a key. A cache that fails knows nothing: every key is to be loaded.
async fn lookup(keys: &[String]) -> Vec<Found> {
    let Ok(cached) = cache().current(keys).await else {
        return vec![Found::Load(0); keys.len()];
    };
    let mut found: Vec<Option<Found>> = cached.iter().map(|cached| known(cached.as_deref())).collect();
    let mut claims: HashMap<&String, (u64, Vec<u8>)> = HashMap::new();
    for (key, found) in keys.iter().zip(&found) {
        if found.is_none() && !claims.contains_key(key) {
            claims.insert(key, next_claim());
        }
    }
    let entries = claims.iter().map(|(key, (_, claim))| ((*key).clone(), claim.clone()));
    let before = cache().claim(entries.collect(), LOAD_WITHIN_MS).await;
    let before = before.unwrap_or_default();
    let mut led: HashMap<String, Found> = HashMap::new();
    for ((key, (ticket, claim)), before) in claims.into_iter().zip(before) {
        let answer = match before.filter(|before| *before != claim) {
            None => start(ticket, key.clone(), claim),
            // Another one loads it: this one does as well, unkept.
            Some(before) => known(Some(&before)).unwrap_or(Found::Load(0)),
        };
        led.insert(key.clone(), answer);
    }
    // A key named again has the answer of the first, but no ticket.
    for (key, found) in keys.iter().zip(&mut found) {
        if found.is_none() {
            let answer = match led.get(key) {
                Some(Found::Load(_)) => led.insert(key.clone(), Found::Load(0)),
                other => other.cloned(),
            };
            *found = answer;
        }
    }
    found.into_iter().map(|found| found.unwrap_or(Found::Load(0))).collect()
}

fn known(cached: Option<&[u8]>) -> Option<Found> {
    claim::read(cached?).map(|known| match known {
        Known::Value(value) => Found::Value(value),
        Known::Absent => Found::Absent,
    })
}

fn next_claim() -> (u64, Vec<u8>) {
    LOADS.with_borrow_mut(|loads| {
        loads.last += 1;
        (loads.last, claim::of(&loads.origin, loads.last))
    })
}

/// Notes a load that may be filled in.
fn start(ticket: u64, key: String, claim: Vec<u8>) -> Found {
    LOADS.with_borrow_mut(|loads| {
        if loads.tickets.len() >= LOADS_MAX {
            // The oldest: nobody has filled it in, and its claim ends by itself.
            loads.tickets.pop_first();
        }
        loads.tickets.insert(ticket, (key, claim));
    });
    Found::Load(ticket)
}

fn exchange(filled: Filled) -> Option<Exchange> {
    let (key, expected) = LOADS.with_borrow_mut(|loads| loads.tickets.remove(&filled.ticket))?;
    let longest = if filled.value.is_some() {
        TTL_MAX_MS
    } else {
        NEGATIVE_TTL_MS
    };
    let ttl_ms = filled.ttl_ms.min(longest);
    let less = random() % (ttl_ms.saturating_mul(JITTER) / 100 + 1);
    Some(Exchange {
        key,
        expected,
        value: (filled.ttl_ms > 0).then(|| claim::write(filled.value)),
        ttl_ms: (ttl_ms - less).max(1),
    })
}
