//! Leases and locks in memory.
//!
//! What has ended is never shown. It is freed a little with every write: each looks at a few of the entries that
//! were not looked at for longest, more than it can add, so that memory follows what lives.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::deadline::end_of;
use super::mutex::lock;
use config::MemoryMetadataSettings;
use contract::Fault;
use contract::metadata::Lease;

/// Entries looked at for every lease or lock that is written.
const SWEPT_PER_WRITE: usize = 4;

/// Sets of leases, and locks, in this process.
#[derive(Debug)]
pub struct Metadata {
    settings: MemoryMetadataSettings,
    leases: Mutex<Leases>,
    locks: Mutex<Locks>,
}

impl Metadata {
    /// Without leases and locks.
    pub fn new(settings: &MemoryMetadataSettings) -> Self {
        Self {
            settings: settings.clone(),
            leases: Mutex::default(),
            locks: Mutex::new(Locks::new()),
        }
    }

    /// Adds or renews each lease, all or none; for each, whether the member is new.
    pub fn put(&self, wanted: Vec<Lease>) -> Result<Vec<bool>, Fault> {
        let ends = wanted
            .iter()
            .map(|lease| {
                self.fits(&lease.set)?;
                self.fits(&lease.member)?;
                end_of(lease.ttl_ms)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let now = Instant::now();
        let mut leases = lock(&self.leases);
        leases.sweep(wanted.len().saturating_mul(SWEPT_PER_WRITE), now);
        if leases.ends.len().saturating_add(wanted.len()) > self.settings.leases_max {
            let new = wanted
                .iter()
                .filter(|lease| !leases.has(&lease.set, &lease.member))
                .count();
            if leases.ends.len().saturating_add(new) > self.settings.leases_max {
                return Err(Fault::Overloaded(format!(
                    "more than {} leases",
                    self.settings.leases_max
                )));
            }
        }
        Ok(wanted
            .into_iter()
            .zip(ends)
            .map(|(lease, ends)| leases.put(lease, ends, now))
            .collect())
    }

    /// Ends a lease; whether it was alive.
    pub fn remove(&self, set: &str, member: &str) -> bool {
        lock(&self.leases)
            .remove(set, member)
            .is_some_and(|ends| Instant::now() < ends)
    }

    /// The live members of each set, in the order of their bytes.
    pub fn members(&self, sets: &[String]) -> Vec<Vec<String>> {
        let now = Instant::now();
        let leases = lock(&self.leases);
        sets.iter()
            .map(|set| leases.alive(set, now).map(str::to_owned).collect())
            .collect()
    }

    /// How many members of a set are alive.
    pub fn count(&self, set: &str) -> u64 {
        lock(&self.leases).alive(set, Instant::now()).count() as u64
    }

    /// Takes or renews a lock; its fencing number, or none when another owner has it.
    pub fn lock(&self, name: String, owner: String, ttl_ms: u64) -> Result<Option<u64>, Fault> {
        self.fits(&name)?;
        self.fits(&owner)?;
        let ends = end_of(ttl_ms)?;
        lock(&self.locks).take(name, owner, ends, self.settings.locks_max)
    }

    /// Gives a lock back; whether this owner had it.
    pub fn unlock(&self, name: &str, owner: &str) -> bool {
        lock(&self.locks).give_back(name, owner)
    }

    /// Leases that take memory, alive or not.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        lock(&self.leases).ends.len()
    }

    fn fits(&self, name: &str) -> Result<(), Fault> {
        if name.len() > self.settings.name_bytes_max {
            return Err(Fault::Invalid(format!(
                "a name has at most {} bytes",
                self.settings.name_bytes_max
            )));
        }
        Ok(())
    }
}

/// Behind a key, or from the beginning.
fn after(key: Option<&str>) -> (Bound<&str>, Bound<&str>) {
    (key.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// The name of a set and that of a member.
type Key = (Box<str>, Box<str>);

/// Members of sets, each with the moment at which its lease ends. One tree for all: most sets have one member or two.
#[derive(Debug, Default)]
struct Leases {
    ends: BTreeMap<Key, Instant>,
    /// The one that was swept last.
    swept: Option<Key>,
}

impl Leases {
    fn has(&self, set: &str, member: &str) -> bool {
        self.ends.contains_key(&key(set, member))
    }

    fn put(&mut self, lease: Lease, ends: Instant, now: Instant) -> bool {
        let before = self.ends.insert((lease.set.into(), lease.member.into()), ends);
        before.is_none_or(|ended| ended <= now)
    }

    fn remove(&mut self, set: &str, member: &str) -> Option<Instant> {
        self.ends.remove(&key(set, member))
    }

    /// The live members of a set, in the order of their bytes.
    fn alive(&self, set: &str, now: Instant) -> impl Iterator<Item = &str> {
        self.ends
            .range(key(set, "")..)
            .take_while(move |((of, _), _)| **of == *set)
            .filter(move |(_, ends)| now < **ends)
            .map(|((_, member), _)| &**member)
    }

    /// Looks at the next `count` leases after those of the last time, and drops what has ended.
    fn sweep(&mut self, count: usize, now: Instant) {
        let after = self.swept.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut ended = Vec::new();
        let mut last = None;
        for (seen, (key, ends)) in self.ends.range((after, Bound::Unbounded)).take(count).enumerate() {
            if *ends <= now {
                ended.push(key.clone());
            }
            if seen + 1 == count {
                last = Some(key.clone());
            }
        }
        self.swept = last;
        for key in ended {
            self.ends.remove(&key);
        }
    }
}

fn key(set: &str, member: &str) -> Key {
    (set.into(), member.into())
}

#[derive(Debug)]
struct Held {
    owner: String,
    number: u64,
    ends: Instant,
}

/// Locks by name.
#[derive(Debug)]
struct Locks {
    held: BTreeMap<String, Held>,
    /// The last fencing number, over all names: a name may be forgotten without its number ever going back.
    number: u64,
    /// The name that was swept last.
    swept: Option<String>,
}

impl Locks {
    fn new() -> Self {
        // Numbers go on growing after a restart: nobody takes a lock a million times in a second.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        Self {
            held: BTreeMap::new(),
            number: u64::try_from(since).unwrap_or_default(),
            swept: None,
        }
    }

    fn take(&mut self, name: String, owner: String, ends: Instant, max: usize) -> Result<Option<u64>, Fault> {
        let now = Instant::now();
        self.sweep(now);
        if let Some(held) = self.held.get_mut(&name).filter(|held| now < held.ends) {
            if held.owner != owner {
                return Ok(None);
            }
            held.ends = ends;
            return Ok(Some(held.number));
        }
        if self.held.len() >= max && !self.held.contains_key(&name) {
            return Err(Fault::Overloaded(format!("more than {max} locks")));
        }
        self.number += 1;
        self.held.insert(
            name,
            Held {
                owner,
                number: self.number,
                ends,
            },
        );
        Ok(Some(self.number))
    }

    fn give_back(&mut self, name: &str, owner: &str) -> bool {
        let now = Instant::now();
        if self.held.get(name).is_none_or(|held| held.owner != owner) {
            return false;
        }
        self.held.remove(name).is_some_and(|held| now < held.ends)
    }

    fn sweep(&mut self, now: Instant) {
        let last = self.swept.take();
        let seen = self
            .held
            .range::<str, _>(after(last.as_deref()))
            .take(SWEPT_PER_WRITE)
            .collect::<Vec<_>>();
        if seen.len() == SWEPT_PER_WRITE {
            self.swept = seen.last().map(|(name, _)| (*name).clone());
        }
        let ended = seen
            .into_iter()
            .filter(|(_, held)| held.ends <= now)
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>();
        for name in ended {
            self.held.remove(&name);
        }
    }
}
