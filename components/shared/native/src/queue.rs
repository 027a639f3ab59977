//! Queues by topic: the promises of `mpim:host/queue` at the time of the world.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use guest::queue::Entry;
use guest::{HostError, Priority};

use crate::clock::Clock;

/// How long a consumer may take to acknowledge, before an entry is given again.
const REDELIVERY_MS: u64 = 30_000;
/// How many entries a topic has at most.
const CAPACITY: usize = 100_000;

/// Topics, and what each group of consumers has had of them.
#[derive(Debug)]
pub struct Queue {
    clock: Clock,
    last_id: RefCell<u64>,
    topics: RefCell<BTreeMap<String, BTreeMap<At, Entry>>>,
    groups: RefCell<BTreeMap<(String, String), Group>>,
}

/// Where an entry stands: what is urgent first, then what is old.
type At = (u8, u64);

#[derive(Debug, Default)]
struct Group {
    /// Given and not acknowledged, each until it is given again.
    open: BTreeMap<u64, u64>,
    done: BTreeSet<u64>,
}

impl Queue {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            last_id: RefCell::default(),
            topics: RefCell::default(),
            groups: RefCell::default(),
        }
    }

    pub(crate) fn publish(&self, topic: String, priority: Priority, payload: Vec<u8>) -> Result<u64, HostError> {
        let mut topics = self.topics.borrow_mut();
        let entries = topics.entry(topic).or_default();
        if entries.len() >= CAPACITY {
            return Err(HostError::Overloaded("the topic is full".to_owned()));
        }
        let mut last_id = self.last_id.borrow_mut();
        *last_id += 1;
        let id = *last_id;
        entries.insert((lane(priority), id), Entry { id, priority, payload });
        Ok(id)
    }

    /// Nothing comes while one waits: the thread is the waiter's.
    pub(crate) fn receive(&self, topic: String, group: String, max: u32) -> Vec<Entry> {
        let (topics, mut groups) = (self.topics.borrow(), self.groups.borrow_mut());
        let entries = topics.get(&topic).into_iter().flat_map(BTreeMap::values);
        let Group { open, done } = groups.entry((topic, group)).or_default();
        let (now_ms, until_ms) = (self.clock.now_ms(), self.clock.after_ms(REDELIVERY_MS));
        let free = entries.filter(|entry| {
            !done.contains(&entry.id) && open.get(&entry.id).is_none_or(|until_ms| *until_ms <= now_ms)
        });
        let given: Vec<Entry> = free.take(usize::try_from(max).unwrap()).cloned().collect();
        open.extend(given.iter().map(|entry| (entry.id, until_ms)));
        given
    }

    pub(crate) fn ack(&self, topic: String, group: String, ids: &[u64]) -> u32 {
        let mut groups = self.groups.borrow_mut();
        let Group { open, done } = groups.entry((topic, group)).or_default();
        let ended = ids.iter().filter(|id| open.remove(id).is_some() && done.insert(**id));
        u32::try_from(ended.count()).unwrap()
    }

    /// How many entries of a topic a group has not acknowledged.
    pub fn waiting(&self, topic: &str, group: &str) -> usize {
        let (topics, groups) = (self.topics.borrow(), self.groups.borrow());
        let done = groups
            .get(&(topic.to_owned(), group.to_owned()))
            .map(|group| &group.done);
        let entries = topics.get(topic).into_iter().flat_map(BTreeMap::values);
        let waits = |entry: &&Entry| done.is_none_or(|done| !done.contains(&entry.id));
        entries.filter(waits).count()
    }

    /// What was received and not acknowledged is given again, as if its time had come.
    pub fn give_again(&self) {
        for group in self.groups.borrow_mut().values_mut() {
            group.open.clear();
        }
    }

    /// Loses everything.
    pub fn clear(&self) {
        self.topics.borrow_mut().clear();
        self.groups.borrow_mut().clear();
    }
}

fn lane(priority: Priority) -> u8 {
    match priority {
        Priority::Urgent => 0,
        Priority::High => 1,
        Priority::Normal => 2,
        Priority::Low => 3,
    }
}
