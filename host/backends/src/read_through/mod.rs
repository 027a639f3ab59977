//! Reading through a cache, done once: a cache in front of a store, of which many callers read the same at the same time.
//!
//! A lookup gives values that are cached, and a *ticket* for each key that its caller is to load from the store and
//! fill in. Others on this node that look the same key up meanwhile wait for that, within a bound, and then load for
//! themselves. This module owns the protocol between lookups, fills and forgets; it refuses to know what is cached
//! and what store it comes from.
//!
//! # Why no answer is older than a forget
//!
//! Whoever changes the store forgets the keys *after* the change is committed. The danger is a loader that
//! read before the commit and fills in after the forget. It is met with *claims*. A lookup that hands out a ticket
//! first puts a claim, a value that is unique for all time, where the key is absent. A fill is an exchange: it
//! takes effect only while the key still has the claim of that very ticket. A forget deletes whatever is there.
//!
//! So when a fill takes effect, the claim has been there without a gap since the lookup: a claim that was
//! deleted never comes back. Hence no forget of the key took effect between that lookup and the fill, and every forget
//! that was complete by then took effect before the lookup, thus before the load, which has read what was
//! committed before that forget. What is in the cache is therefore never older than the last complete forget.
//! The argument holds between nodes, needs no clock, and holds when the cache loses or evicts whatever it likes: a lost
//! claim only means that a load is not kept. It does not hold where a cache brings deleted entries back (a replica
//! that is promoted before it heard of a delete), where a forget failed, or where whoever changed the store died
//! before it could forget. Then an entry outlives the change by its time to live, which is bounded by a setting, and
//! which jitter only shortens.
//!
//! Whoever waited for another's load looks into the cache again and takes nothing over from it directly: a load that
//! a forget has overtaken is of use to its own caller only.

mod flights;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keyspace::claim::{self, Known};
use tokio::time::{Instant, timeout_at};

use crate::cache::Cache;
use config::ReadThroughSettings;
use contract::Fault;
use contract::cache::{Exchange, Filled, Found, NOT_KEPT};
use flights::{Flights, Held};

/// How the keys of one lookup were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Values that were cached.
    pub hit: u64,
    /// Keys known to have nothing in the store.
    pub absent: u64,
    /// Keys that the caller has to load.
    pub miss: u64,
    /// Values, or the knowledge that there is none, that came after waiting for another caller's load.
    pub waited: u64,
    /// Whether the cache failed, so that every key is to be loaded.
    pub failed: bool,
}

/// One node's side of the protocol.
#[derive(Debug)]
pub struct ReadThrough {
    settings: ReadThroughSettings,
    /// What makes claims of this process unlike those of any other.
    origin: [u8; 16],
    last_ticket: AtomicU64,
    flights: Mutex<Flights>,
    jitter: RandomState,
}

impl ReadThrough {
    /// Without anything loading.
    pub fn new(settings: ReadThroughSettings) -> Self {
        let (one, other) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        let mut origin = [0; 16];
        for (slot, byte) in origin.iter_mut().zip([one.to_be_bytes(), other.to_be_bytes()].concat()) {
            *slot = byte;
        }
        Self {
            settings,
            origin,
            last_ticket: AtomicU64::new(NOT_KEPT),
            flights: Mutex::default(),
            jitter: RandomState::new(),
        }
    }

    /// Looks keys up for a caller, whose name its tickets are bound to. One answer a key, in the order asked. A key
    /// named twice is loaded once. A cache that fails answers nothing: every key is to be loaded.
    ///
    /// # Errors
    /// Only for more keys than one lookup may name.
    pub async fn lookup(&self, cache: &Cache, caller: &str, keys: &[String]) -> Result<(Vec<Found>, Tally), Fault> {
        if keys.len() > self.settings.keys_max {
            let most = self.settings.keys_max;
            return Err(Fault::Invalid(format!("a lookup names at most {most} keys")));
        }
        let mut looking = Looking::new(keys);
        let until = Instant::now() + ms(self.settings.wait_ms);
        loop {
            let Ok(cached) = self.ask(cache.current(&looking.open_keys())).await else {
                return Ok(looking.failed());
            };
            looking.take(cached);
            let open = looking.open_keys();
            if open.is_empty() {
                return Ok(looking.finish());
            }
            let Some((ended, lapses)) = self.in_flight(&open) else {
                return Ok(self.lead(cache, caller, looking).await);
            };
            let until = until.min(lapses);
            if until <= Instant::now() {
                return Ok(looking.finish());
            }
            // Whatever ends the waiting, the cache says what has become of the key.
            let _ = timeout_at(until, ended).await;
            looking.waited = true;
        }
    }

    /// Ends tickets with what was loaded. What cannot be kept, for whatever reason, is not: gives an error only
    /// to be counted.
    pub async fn fill(&self, cache: &Cache, caller: &str, filled: Vec<Filled>) -> Result<(), Fault> {
        let tickets: Vec<u64> = filled.iter().map(|filled| filled.ticket).collect();
        let held = Held::these(&self.flights, caller, &tickets);
        let exchanges: Vec<Exchange> = filled
            .into_iter()
            .filter_map(|filled| {
                let (key, claim) = held.claim(filled.ticket)?;
                Some(self.exchange(filled, key, claim))
            })
            .collect();
        if exchanges.is_empty() {
            return Ok(());
        }
        self.ask(cache.exchange(exchanges)).await.map(|_| ())
        // Dropping what was held wakes those who wait: after the exchange, so that they find the value.
    }

    /// Deletes keys after a change of what they stand for was committed. When it succeeds, no later lookup, on any
    /// node, gives what was before. When it fails, an entry may be left for its time to live.
    pub async fn forget(&self, cache: &Cache, keys: &[String]) -> Result<(), Fault> {
        let deleted = cache.delete_many(keys).await;
        // The loads under way here have lost their claims: whoever comes now need not wait for them.
        flights::lock(&self.flights).end_loads_of(keys);
        deleted
    }

    /// When the load that all of the keys wait for ends, and when it lapses; none when one of the keys is loaded
    /// by nobody.
    fn in_flight(&self, keys: &[String]) -> Option<(impl Future<Output = ()> + use<>, Instant)> {
        let mut flights = flights::lock(&self.flights);
        let now = Instant::now();
        if keys.iter().any(|key| !flights.is_flying(key, now)) {
            return None;
        }
        flights.ended(keys.first()?)
    }

    /// Makes the caller the loader of those open keys that nobody loads. Who leads one key never waits for another:
    /// two lookups that lead and wait crosswise would wait for each other. The rest is loaded with it, unkept.
    async fn lead(&self, cache: &Cache, caller: &str, mut looking: Looking<'_>) -> (Vec<Found>, Tally) {
        let mut held = Held::none(&self.flights);
        let lapses = Instant::now() + ms(self.settings.load_within_ms);
        let mut claims = Vec::new();
        for (index, key) in looking.open() {
            let ticket = self.last_ticket.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if held.start(caller, key, ticket, lapses, self.settings.loads_max) {
                claims.push((index, ticket, claim::of(&self.origin, ticket)));
            }
        }
        let entries = claims
            .iter()
            .filter_map(|(index, _, claim)| Some((looking.key(*index)?.to_owned(), claim.clone())))
            .collect();
        let Ok(before) = self.ask(cache.claim(entries, self.settings.load_within_ms)).await else {
            return looking.failed();
        };
        for ((index, ticket, claim), before) in claims.into_iter().zip(before) {
            // A claim that was sent again, its answer being lost, is found to be there.
            match before.filter(|before| *before != claim).as_deref().map(read) {
                None => {
                    held.claimed(ticket, claim);
                    looking.set(index, Found::Load(ticket));
                }
                // Another node loads it: this one does as well, for its own callers and unkept.
                Some(None) => looking.set(index, Found::Load(ticket)),
                Some(Some(found)) => {
                    held.end(ticket);
                    looking.cached(index, found);
                }
            }
        }
        held.hand_over();
        looking.finish()
    }

    fn exchange(&self, filled: Filled, key: String, claim: Vec<u8>) -> Exchange {
        let longest = match filled.value {
            Some(_) => self.settings.ttl_max_ms,
            None => self.settings.negative_ttl_ms,
        };
        Exchange {
            key,
            expected: claim,
            value: (filled.ttl_ms > 0).then(|| claim::write(filled.value)),
            ttl_ms: self.jittered(filled.ttl_ms.min(longest), filled.ticket),
        }
    }

    /// A time shortened by up to the jitter, so that what was filled at once does not end at once, and at least 1.
    fn jittered(&self, ttl_ms: u64, ticket: u64) -> u64 {
        let most = ttl_ms.saturating_mul(u64::from(self.settings.jitter_percent)) / 100;
        let less = self.jitter.hash_one(ticket) % most.saturating_add(1);
        ttl_ms.saturating_sub(less).max(1)
    }

    /// A cache that does not answer in time is one that fails.
    async fn ask<T>(&self, asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let until = Instant::now() + ms(self.settings.answer_within_ms);
        match timeout_at(until, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::Timeout("the cache did not answer in time".to_owned())),
        }
    }
}

/// A lookup under way: its keys, each with what was found so far.
struct Looking<'a> {
    keys: &'a [String],
    found: Vec<Option<Found>>,
    /// The first index of the same key, for each index.
    first: Vec<usize>,
    tally: Tally,
    waited: bool,
}

impl<'a> Looking<'a> {
    fn new(keys: &'a [String]) -> Self {
        let mut first_of = std::collections::HashMap::with_capacity(keys.len());
        let first = keys.iter().enumerate();
        let first = first
            .map(|(index, key)| *first_of.entry(key).or_insert(index))
            .collect();
        Self {
            keys,
            found: vec![None; keys.len()],
            first,
            tally: Tally::default(),
            waited: false,
        }
    }

    /// The keys without an answer, each once, with their indexes.
    fn open(&self) -> Vec<(usize, String)> {
        let each = self.keys.iter().zip(&self.found).zip(&self.first).enumerate();
        each.filter(|(index, ((_, found), first))| found.is_none() && index == *first)
            .map(|(index, ((key, _), _))| (index, key.clone()))
            .collect()
    }

    fn open_keys(&self) -> Vec<String> {
        self.open().into_iter().map(|(_, key)| key).collect()
    }

    fn key(&self, index: usize) -> Option<&str> {
        self.keys.get(index).map(String::as_str)
    }

    /// Takes what the cache has of the open keys.
    fn take(&mut self, cached: Vec<Option<Vec<u8>>>) {
        for ((index, _), cached) in self.open().into_iter().zip(cached) {
            if let Some(found) = cached.as_deref().and_then(read) {
                self.cached(index, found);
            }
        }
    }

    fn cached(&mut self, index: usize, found: Found) {
        match found {
            _ if self.waited => self.tally.waited += 1,
            Found::Absent => self.tally.absent += 1,
            Found::Value(_) | Found::Load(_) => self.tally.hit += 1,
        }
        self.set(index, found);
    }

    fn set(&mut self, index: usize, found: Found) {
        if let Some(at) = self.found.get_mut(index) {
            *at = Some(found);
        }
    }

    fn failed(mut self) -> (Vec<Found>, Tally) {
        self.tally.failed = true;
        for found in &mut self.found {
            if matches!(found, Some(Found::Load(_))) {
                *found = None;
            }
        }
        self.finish()
    }

    /// What has no answer is to be loaded, unkept. A key named again has the answer of the first, but no ticket.
    fn finish(mut self) -> (Vec<Found>, Tally) {
        let answers: Vec<Found> = self
            .first
            .iter()
            .enumerate()
            .map(|(index, first)| match self.found.get(*first).cloned().flatten() {
                Some(Found::Load(_)) if index != *first => Found::Load(NOT_KEPT),
                Some(found) => found,
                None => Found::Load(NOT_KEPT),
            })
            .collect();
        let firsts = answers.iter().zip(&self.first).enumerate();
        let misses = firsts.filter(|(index, (found, first))| index == *first && matches!(found, Found::Load(_)));
        self.tally.miss = u64::try_from(misses.count()).unwrap_or(u64::MAX);
        (answers, self.tally)
    }
}

/// What a cached value says; none for a claim, and for what is not of this module.
fn read(cached: &[u8]) -> Option<Found> {
    claim::read(cached).map(|known| match known {
        Known::Value(value) => Found::Value(value),
        Known::Absent => Found::Absent,
    })
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
