//! Leases by set: the promises of `mpim:host/metadata` at the time of the world.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::clock::Clock;

/// Sets whose members live until their leases end.
#[derive(Debug)]
pub struct Metadata {
    clock: Clock,
    sets: RefCell<BTreeMap<String, BTreeMap<String, u64>>>,
}

impl Metadata {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            sets: RefCell::default(),
        }
    }

    /// Adds or renews a lease; gives whether its member is new.
    pub fn put(&self, set: &str, member: &str, ttl_ms: u64) -> bool {
        let until_ms = self.clock.after_ms(ttl_ms);
        let mut sets = self.sets.borrow_mut();
        let former = sets
            .entry(set.to_owned())
            .or_default()
            .insert(member.to_owned(), until_ms);
        former.is_none_or(|former| former <= self.clock.now_ms())
    }

    /// Ends a lease; gives whether it was alive.
    pub fn remove(&self, set: &str, member: &str) -> bool {
        let mut sets = self.sets.borrow_mut();
        let ended = sets.get_mut(set).and_then(|members| members.remove(member));
        ended.is_some_and(|until_ms| until_ms > self.clock.now_ms())
    }

    /// The live members of a set, in the order of their bytes.
    pub fn members(&self, set: &str) -> Vec<String> {
        let (sets, now_ms) = (self.sets.borrow(), self.clock.now_ms());
        let members = sets.get(set).into_iter().flatten();
        let alive = members.filter(|(_, until_ms)| **until_ms > now_ms);
        alive.map(|(member, _)| member.clone()).collect()
    }

    /// How many members of all sets are alive.
    pub fn alive(&self) -> usize {
        let sets: Vec<String> = self.sets.borrow().keys().cloned().collect();
        sets.iter().map(|set| self.members(set).len()).sum()
    }

    /// Loses a set.
    pub fn lose(&self, set: &str) {
        self.sets.borrow_mut().remove(set);
    }

    /// Loses everything.
    pub fn clear(&self) {
        self.sets.borrow_mut().clear();
    }
}
