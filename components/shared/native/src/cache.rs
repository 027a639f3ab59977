//! The cache: the promises of `mpim:host/cache` at the time of the world. It counts what it was asked, and can lose values
//! or be late.

mod values;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use guest::HostError;
use guest::bindings::mpim::host::cache::{Filled, Found};

pub(crate) use values::ListEnd;
use values::{Kept, Values, fits};

use crate::clock::Clock;

/// The longest time for which it is kept that the store has nothing.
const ABSENCE_MS: u64 = 5_000;

/// The cache of one space of keys, or of several whose keys have the name of their space in front.
#[derive(Debug)]
pub struct Cache {
    clock: Clock,
    entries: RefCell<BTreeMap<String, Entry>>,
    tickets: RefCell<BTreeMap<u64, String>>,
    /// What was set, counted or pushed by itself.
    pub(crate) values: Values,
    /// What is set and has not arrived.
    held: RefCell<Vec<(String, Kept)>>,
    holds: Cell<bool>,
    last_ticket: Cell<u64>,
    hits: Cell<u64>,
    misses: Cell<u64>,
}

#[derive(Debug, Clone)]
enum Entry {
    Value { value: Option<Vec<u8>>, until_ms: u64 },
    Claim(u64),
}

impl Cache {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            entries: RefCell::default(),
            tickets: RefCell::default(),
            values: Values::new(clock),
            held: RefCell::default(),
            holds: Cell::default(),
            last_ticket: Cell::default(),
            hits: Cell::default(),
            misses: Cell::default(),
        }
    }

    /// Who looks up what is being loaded does not wait, and loads it without a ticket.
    pub(crate) fn lookup(&self, keys: &[String]) -> Vec<Found> {
        keys.iter().map(|key| self.one(key)).collect()
    }

    fn one(&self, key: &str) -> Found {
        let entry = self.entries.borrow().get(key).cloned();
        let (count, found) = match entry {
            Some(Entry::Value { value, until_ms }) if until_ms > self.clock.now_ms() => {
                (&self.hits, value.map_or(Found::Absent, Found::Value))
            }
            Some(Entry::Claim(_)) => (&self.misses, Found::Load(0)),
            _ => (&self.misses, Found::Load(self.claim(key))),
        };
        count.set(count.get() + 1);
        found
    }

    fn claim(&self, key: &str) -> u64 {
        let ticket = self.last_ticket.get() + 1;
        self.last_ticket.set(ticket);
        self.tickets.borrow_mut().insert(ticket, key.to_owned());
        self.entries.borrow_mut().insert(key.to_owned(), Entry::Claim(ticket));
        ticket
    }

    pub(crate) fn fill(&self, filled: Vec<Filled>) {
        for Filled { ticket, value, ttl_ms } in filled {
            let Some(key) = self.tickets.borrow_mut().remove(&ticket) else {
                continue;
            };
            let mut entries = self.entries.borrow_mut();
            if !matches!(entries.get(&key), Some(Entry::Claim(claim)) if *claim == ticket) {
                continue;
            }
            if ttl_ms == 0 {
                entries.remove(&key);
                continue;
            }
            let most_ms = if value.is_some() { u64::MAX } else { ABSENCE_MS };
            let until_ms = self.clock.after_ms(ttl_ms.min(most_ms));
            entries.insert(key, Entry::Value { value, until_ms });
        }
    }

    pub(crate) fn forget(&self, keys: &[String]) {
        let mut entries = self.entries.borrow_mut();
        for key in keys {
            entries.remove(key);
        }
    }

    pub(crate) fn put(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Result<(), HostError> {
        let until_ms = self.values.end_of(ttl_ms)?;
        fits(&key, value.len())?;
        let kept = Kept::bytes(value, until_ms);
        if self.holds.get() {
            self.held.borrow_mut().push((key, kept));
        } else {
            self.values.replace(key, kept);
        }
        Ok(())
    }

    /// What was set under a key by itself; none also where it holds a list.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.values.get(key)
    }

    /// Puts something under a key by itself, for ever.
    pub fn set(&self, key: String, value: Vec<u8>) {
        self.values.replace(key, Kept::bytes(value, u64::MAX));
    }

    /// From now on what is set by itself waits for [`Cache::release`], or no more. What is counted and pushed never waits.
    pub fn hold(&self, holds: bool) {
        self.holds.set(holds);
    }

    /// Lets one of the values arrive that wait.
    pub fn release(&self, among: usize) {
        let mut held = self.held.borrow_mut();
        if let Some(at) = among.checked_rem(held.len()) {
            let (key, kept) = held.swap_remove(at);
            self.values.replace(key, kept);
        }
    }

    /// Loses one of the keys that were set, counted or pushed by themselves, and gives its name; none when there is none.
    pub fn evict(&self, among: usize) -> Option<String> {
        self.values.evict(among)
    }

    /// Loses everything.
    pub fn clear(&self) {
        self.entries.borrow_mut().clear();
        self.values.clear();
    }

    /// How many keys were found by lookups.
    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// How many keys were to be loaded after lookups.
    pub fn misses(&self) -> u64 {
        self.misses.get()
    }
}
