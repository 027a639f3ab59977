//! A cache for native tests: the promises of `mpim:host/cache`, without time. Entries live until they are forgotten, and
//! it counts what it was asked.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use crate::bindings::mpim::host::cache::{Filled, Found};

/// The cache of one test.
#[derive(Debug, Default)]
pub struct CacheTwin {
    entries: RefCell<HashMap<String, Entry>>,
    tickets: RefCell<HashMap<u64, String>>,
    /// What was set by itself.
    set: RefCell<BTreeMap<String, Vec<u8>>>,
    last_ticket: Cell<u64>,
    hits: Cell<u64>,
    misses: Cell<u64>,
}

#[derive(Debug, Clone)]
enum Entry {
    Value(Option<Vec<u8>>),
    Claim(u64),
}

impl CacheTwin {
    /// See `lookup` of the interface. Who looks up what is being loaded does not wait, and loads it without a ticket.
    pub fn lookup(&self, keys: &[String]) -> Vec<Found> {
        keys.iter().map(|key| self.one(key)).collect()
    }

    fn one(&self, key: &str) -> Found {
        let entry = self.entries.borrow().get(key).cloned();
        let (count, found) = match entry {
            Some(Entry::Value(value)) => (&self.hits, value.map_or(Found::Absent, Found::Value)),
            Some(Entry::Claim(_)) => (&self.misses, Found::Load(0)),
            None => (&self.misses, Found::Load(self.claim(key))),
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

    /// See `fill` of the interface.
    pub fn fill(&self, filled: Vec<Filled>) {
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
            } else {
                entries.insert(key, Entry::Value(value));
            }
        }
    }

    /// See `forget` of the interface.
    pub fn forget(&self, keys: &[String]) {
        let mut entries = self.entries.borrow_mut();
        for key in keys {
            entries.remove(key);
        }
    }

    /// See `set` of the interface.
    pub fn set(&self, key: String, value: Vec<u8>) {
        self.set.borrow_mut().insert(key, value);
    }

    /// See `get-many` of the interface.
    pub fn get_many(&self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
        let set = self.set.borrow();
        keys.iter().map(|key| set.get(key).cloned()).collect()
    }

    /// Loses one of the keys that were set by themselves, and gives its name; none when there is none.
    pub fn evict(&self, among: usize) -> Option<String> {
        let mut set = self.set.borrow_mut();
        let key = set.keys().nth(among.checked_rem(set.len())?)?.clone();
        set.remove(&key);
        Some(key)
    }

    /// How many keys were found.
    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// How many keys were to be loaded.
    pub fn misses(&self) -> u64 {
        self.misses.get()
    }
}
