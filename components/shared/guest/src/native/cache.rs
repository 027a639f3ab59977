//! A cache for native tests: the promises of `mpim:host/cache`, without time. Entries live until they are forgotten, and
//! it counts what it was asked.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::HostError;
use crate::bindings::mpim::host::cache::{Filled, Found};

/// The cache of one test.
#[derive(Debug, Default)]
pub struct CacheTwin {
    entries: RefCell<HashMap<String, Entry>>,
    tickets: RefCell<HashMap<u64, String>>,
    /// What was set, counted or pushed by itself.
    set: RefCell<BTreeMap<String, Kept>>,
    last_ticket: Cell<u64>,
    hits: Cell<u64>,
    misses: Cell<u64>,
}

#[derive(Debug, Clone)]
enum Entry {
    Value(Option<Vec<u8>>),
    Claim(u64),
}

/// What a key holds that was not looked up.
#[derive(Debug)]
enum Kept {
    Bytes(Vec<u8>),
    List(VecDeque<Vec<u8>>),
}

fn other_kind() -> HostError {
    HostError::Invalid("the key holds another kind of value".to_owned())
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
        self.set.borrow_mut().insert(key, Kept::Bytes(value));
    }

    /// See `get-many` of the interface.
    pub fn get_many(&self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
        let set = self.set.borrow();
        let bytes = |key| match set.get(key) {
            Some(Kept::Bytes(bytes)) => Some(bytes.clone()),
            Some(Kept::List(_)) | None => None,
        };
        keys.iter().map(bytes).collect()
    }

    /// See `exists` of the interface.
    pub fn exists(&self, key: &str) -> bool {
        self.set.borrow().contains_key(key)
    }

    /// See `increment` of the interface.
    pub fn increment(&self, key: String, by: i64) -> Result<i64, HostError> {
        let mut set = self.set.borrow_mut();
        let before = match set.get(&key) {
            None => 0,
            Some(Kept::Bytes(bytes)) => std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| HostError::Invalid("the value of this key is no counter".to_owned()))?,
            Some(Kept::List(_)) => return Err(other_kind()),
        };
        let sum: Option<i64> = i64::checked_add(before, by);
        let sum = sum.ok_or_else(|| HostError::Invalid("the counter would overflow".to_owned()))?;
        set.insert(key, Kept::Bytes(sum.to_string().into_bytes()));
        Ok(sum)
    }

    /// See `decrement` of the interface.
    pub fn decrement(&self, key: String, by: i64) -> Result<i64, HostError> {
        let by = by.checked_neg();
        self.increment(
            key,
            by.ok_or_else(|| HostError::Invalid("the counter would overflow".to_owned()))?,
        )
    }

    /// See `push-left` of the interface.
    pub fn push_left(&self, key: String, values: Vec<Vec<u8>>) -> Result<u64, HostError> {
        self.push(key, values, VecDeque::push_front)
    }

    /// See `push-right` of the interface.
    pub fn push_right(&self, key: String, values: Vec<Vec<u8>>) -> Result<u64, HostError> {
        self.push(key, values, VecDeque::push_back)
    }

    fn push(
        &self,
        key: String,
        values: Vec<Vec<u8>>,
        one: fn(&mut VecDeque<Vec<u8>>, Vec<u8>),
    ) -> Result<u64, HostError> {
        if values.is_empty() {
            return Err(HostError::Invalid("a push needs a value".to_owned()));
        }
        let mut set = self.set.borrow_mut();
        match set.entry(key).or_insert_with(|| Kept::List(VecDeque::new())) {
            Kept::Bytes(_) => Err(other_kind()),
            Kept::List(list) => {
                values.into_iter().for_each(|value| one(list, value));
                Ok(u64::try_from(list.len()).unwrap_or(u64::MAX))
            }
        }
    }

    /// See `range` of the interface.
    pub fn range(&self, key: &str, start: i64, stop: i64) -> Result<Vec<Vec<u8>>, HostError> {
        match self.set.borrow().get(key) {
            None => Ok(Vec::new()),
            Some(Kept::Bytes(_)) => Err(other_kind()),
            Some(Kept::List(list)) => {
                let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
                let from_front = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
                let (start, stop) = (from_front(start), from_front(stop));
                let values = (0..).zip(list);
                let within = values.filter(|(index, _)| (start..=stop).contains(index));
                Ok(within.map(|(_, value)| value.clone()).collect())
            }
        }
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
