//! One topic: its entries, and what each group of consumers has had of them.
//!
//! An entry stays until every known group has ended it, or, where there is no group, until it is too old. A new
//! group begins with all that is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use tokio::time::Instant;

use super::lane::Lanes;
use config::MemoryQueueSettings;
use contract::Fault;
use contract::queue::{Entry, Priority};

/// The entries and groups of a topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    last_id: u64,
    bytes: usize,
    entries: BTreeMap<u64, Kept>,
    groups: HashMap<String, Group>,
}

#[derive(Debug)]
struct Kept {
    priority: Priority,
    payload: Arc<[u8]>,
    published: Instant,
    /// Groups that have not ended it.
    owed: usize,
}

#[derive(Debug)]
struct Group {
    lanes: Lanes,
    /// Given and not ended, each with the moment at which it is given again; absent while it waits for that.
    open: HashMap<u64, Option<Instant>>,
    due: BTreeSet<(Instant, u64)>,
    seen: Instant,
}

impl Topic {
    /// Entries that are kept.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of the payloads that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing would be lost by forgetting the topic.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.groups.is_empty()
    }

    /// Appends an entry, by the id `at_least` or, where that does not grow, the next one.
    pub(super) fn publish(&mut self, at_least: u64, priority: Priority, payload: Vec<u8>, now: Instant) -> u64 {
        self.last_id = self.last_id.saturating_add(1).max(at_least);
        let id = self.last_id;
        self.bytes += payload.len();
        let owed = self.groups.len();
        self.entries.insert(
            id,
            Kept {
                priority,
                payload: payload.into(),
                published: now,
                owed,
            },
        );
        for group in self.groups.values_mut() {
            group.lanes.push(priority, id);
        }
        id
    }

    /// Up to `max` entries whose turn it is for a group, and when to look again if there is none.
    pub(super) fn take(
        &mut self,
        name: &str,
        max: usize,
        settings: &MemoryQueueSettings,
        now: Instant,
    ) -> Result<(Vec<Entry>, Option<Instant>), Fault> {
        if self.groups.len() >= settings.groups_max && !self.groups.contains_key(name) {
            self.sweep(settings, now);
            if self.groups.len() >= settings.groups_max {
                return Err(Fault::Overloaded(format!(
                    "the topic has {} groups",
                    settings.groups_max
                )));
            }
        }
        let entries = &mut self.entries;
        let group = self
            .groups
            .entry(name.to_owned())
            .or_insert_with(|| Group::new(entries, now));
        group.seen = now;
        group.give_again(entries, now);
        let again = now + settings.redeliver_after();
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(id) = group.lanes.pop()
        {
            let Some(kept) = entries.get(&id) else { continue };
            group.open.insert(id, Some(again));
            group.due.insert((again, id));
            taken.push(Entry {
                id,
                priority: kept.priority,
                payload: kept.payload.to_vec(),
            });
        }
        Ok((taken, group.due.first().map(|(due, _)| *due)))
    }

    /// Lets all that a group has open wait again, whoever has it.
    pub(super) fn recall(&mut self, name: &str) {
        let entries = &self.entries;
        if let Some(group) = self.groups.get_mut(name)
            && let Some((last, _)) = group.due.last().copied()
        {
            group.give_again(entries, last);
        }
    }

    /// Entries that are kept, after an id.
    pub(super) fn after(&self, id: u64, max: usize) -> Vec<Entry> {
        let after = (Bound::Excluded(id), Bound::Unbounded);
        let kept = self.entries.range(after).take(max);
        kept.map(|(id, kept)| Entry {
            id: *id,
            priority: kept.priority,
            payload: kept.payload.to_vec(),
        })
        .collect()
    }

    /// Ends entries for a group; how many were open.
    pub(super) fn ack(&mut self, name: &str, ids: &[u64], now: Instant) -> u32 {
        let Some(group) = self.groups.get_mut(name) else {
            return 0;
        };
        group.seen = now;
        let mut ended = 0;
        for id in ids {
            let Some(due) = group.open.remove(id) else { continue };
            ended += 1;
            match due {
                Some(due) => {
                    group.due.remove(&(due, *id));
                }
                // It waits to be given again: its consumer was slow, not dead.
                None => {
                    if let Some(kept) = self.entries.get(id) {
                        group.lanes.remove(kept.priority, *id);
                    }
                }
            }
            release(&mut self.entries, &mut self.bytes, *id);
        }
        ended
    }

    /// Drops what may be dropped before an entry is appended.
    pub(super) fn make_room(&mut self, settings: &MemoryQueueSettings, now: Instant) {
        if self.groups.is_empty() || self.len() >= settings.per_topic_max {
            self.sweep(settings, now);
        }
    }

    /// Drops what nobody is owed any more: old entries without a group, and groups that nobody speaks for.
    pub(super) fn sweep(&mut self, settings: &MemoryQueueSettings, now: Instant) {
        let gone = self
            .groups
            .extract_if(|_, group| now >= group.seen + settings.group_idle())
            .collect::<Vec<_>>();
        for (_, group) in gone {
            for id in group.owed(&self.entries) {
                release(&mut self.entries, &mut self.bytes, id);
            }
        }
        if self.groups.is_empty() {
            self.drop_old(settings, now);
        }
    }

    fn drop_old(&mut self, settings: &MemoryQueueSettings, now: Instant) {
        while let Some(oldest) = self.entries.first_entry()
            && now >= oldest.get().published + settings.retain()
        {
            self.bytes -= oldest.remove().payload.len();
        }
    }
}

/// One group less is owed an entry; the last one drops it.
fn release(entries: &mut BTreeMap<u64, Kept>, bytes: &mut usize, id: u64) {
    let Some(kept) = entries.get_mut(&id) else { return };
    kept.owed = kept.owed.saturating_sub(1);
    if kept.owed == 0 {
        *bytes -= kept.payload.len();
        entries.remove(&id);
    }
}

impl Group {
    /// A group that is owed all that is kept.
    fn new(entries: &mut BTreeMap<u64, Kept>, now: Instant) -> Self {
        let mut lanes = Lanes::default();
        for (id, kept) in entries {
            kept.owed += 1;
            lanes.push(kept.priority, *id);
        }
        Self {
            lanes,
            open: HashMap::new(),
            due: BTreeSet::new(),
            seen: now,
        }
    }

    /// Lets entries that were not ended in time wait again, in their lanes.
    fn give_again(&mut self, entries: &BTreeMap<u64, Kept>, now: Instant) {
        while let Some((due, id)) = self.due.first().copied()
            && due <= now
        {
            self.due.pop_first();
            self.open.insert(id, None);
            if let Some(kept) = entries.get(&id) {
                self.lanes.push(kept.priority, id);
            }
        }
    }

    /// What the group has not ended.
    fn owed(mut self, entries: &BTreeMap<u64, Kept>) -> BTreeSet<u64> {
        let mut owed = self
            .open
            .into_keys()
            .filter(|id| entries.contains_key(id))
            .collect::<BTreeSet<_>>();
        while let Some(id) = self.lanes.pop() {
            owed.insert(id);
        }
        owed
    }
}
