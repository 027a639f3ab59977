//! What the times of users go through, in memory: a cache, a queue, and the real schema in SQLite. Each can be taken away.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use guest::HostError;
use guest::native::Step;
use guest::queue::Entry;
use guest::sql::{Error as SqlError, Outcome, Value};
use rusqlite::types::Value as Stored;
use rusqlite::{Connection, params_from_iter};

const SCHEMAS: [&str; 2] = [
    include_str!("../../../../migrations/sqlite/V1__chat.sql"),
    include_str!("../../../../migrations/sqlite/V3__last_seen.sql"),
];

/// The users that the store knows: 1 up to this.
pub(super) const USERS: u64 = 450;

/// What can be out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Cache,
    Queue,
    /// Of the queue, acknowledging alone: as when the caller dies before it.
    Acknowledging,
    Store,
}

pub(super) struct Behind {
    away: RefCell<BTreeSet<Part>>,
    cache: RefCell<HashMap<String, Vec<u8>>>,
    entries: RefCell<BTreeMap<u64, (String, Entry)>>,
    open: RefCell<BTreeSet<u64>>,
    store: Connection,
    /// How many batches from now on are refused, since another writer came first.
    pub(super) overtaken: Cell<u32>,
    /// Reads of the cache and of the store.
    pub(super) reads: Cell<(u32, u32)>,
    /// The most statements that one batch had.
    pub(super) longest_batch: Cell<usize>,
}

impl Default for Behind {
    fn default() -> Self {
        let store = Connection::open_in_memory().unwrap();
        for schema in SCHEMAS {
            store.execute_batch(schema).unwrap();
        }
        for user in 1..=USERS {
            let sql = format!("INSERT INTO users VALUES ({user}, 'U{user}', 'u{user}', 'x', 1)");
            store.execute_batch(&sql).unwrap();
        }
        Self {
            away: RefCell::default(),
            cache: RefCell::default(),
            entries: RefCell::default(),
            open: RefCell::default(),
            store,
            overtaken: Cell::default(),
            reads: Cell::default(),
            longest_batch: Cell::default(),
        }
    }
}

impl Behind {
    pub(super) fn take_away(&self, part: Part) {
        self.away.borrow_mut().insert(part);
    }

    pub(super) fn give_back(&self, part: Part) {
        self.away.borrow_mut().remove(&part);
    }

    /// What the cache has vanishes.
    pub(super) fn empty_cache(&self) {
        self.cache.borrow_mut().clear();
    }

    /// What was received and not acknowledged is given again.
    pub(super) fn give_again(&self) {
        self.open.borrow_mut().clear();
    }

    /// How many entries are not acknowledged.
    pub(super) fn waiting(&self) -> usize {
        self.entries.borrow().len()
    }

    /// What the store has: the time of each user.
    pub(super) fn kept(&self) -> BTreeMap<u64, u64> {
        let mut statement = self.store.prepare("SELECT user_id, at FROM last_seen").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        rows.unwrap()
            .map(Result::unwrap)
            .map(|(user, at)| (user.cast_unsigned(), at.cast_unsigned()))
            .collect()
    }

    fn reach(&self, part: Part) -> Result<(), HostError> {
        match self.away.borrow().contains(&part) {
            true => Err(HostError::Unavailable(format!("the {part:?} is out of reach"))),
            false => Ok(()),
        }
    }

    pub(super) fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, HostError> {
        self.reach(Part::Cache)?;
        let (cache, store) = self.reads.get();
        self.reads.set((cache + 1, store));
        let kept = self.cache.borrow();
        Ok(keys.iter().map(|key| kept.get(key).cloned()).collect())
    }

    pub(super) fn set(&self, key: String, value: Vec<u8>) -> Result<(), HostError> {
        self.reach(Part::Cache)?;
        self.cache.borrow_mut().insert(key, value);
        Ok(())
    }

    pub(super) fn publish(&self, topic: String, priority: guest::Priority, payload: Vec<u8>) -> Result<u64, HostError> {
        self.reach(Part::Queue)?;
        let mut entries = self.entries.borrow_mut();
        let id = entries.last_key_value().map_or(1, |(last, _)| last + 1);
        let entry = Entry { id, priority, payload };
        entries.insert(id, (topic, entry));
        Ok(id)
    }

    pub(super) fn receive(&self, topic: &str, max: u32) -> Result<Vec<Entry>, HostError> {
        self.reach(Part::Queue)?;
        let (entries, mut open) = (self.entries.borrow(), self.open.borrow_mut());
        let mut of_topic = entries.values().filter(|(name, _)| name == topic);
        let mut given = Vec::new();
        while given.len() < max as usize
            && let Some((_, entry)) = of_topic.next()
        {
            if open.insert(entry.id) {
                given.push(entry.clone());
            }
        }
        Ok(given)
    }

    pub(super) fn ack(&self, ids: &[u64]) -> Result<u32, HostError> {
        self.reach(Part::Queue)?;
        self.reach(Part::Acknowledging)?;
        let (mut entries, mut open) = (self.entries.borrow_mut(), self.open.borrow_mut());
        let ended = ids
            .iter()
            .filter(|id| open.remove(id) && entries.remove(id).is_some())
            .count();
        Ok(ended.try_into().unwrap())
    }

    pub(super) fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, SqlError> {
        self.reach(Part::Store).map_err(unavailable)?;
        let (cache, store) = self.reads.get();
        self.reads.set((cache, store + 1));
        let mut statement = self.store.prepare(sql).unwrap();
        let rows = statement.query_map(params_from_iter(params.iter().map(integer)), |row| {
            Ok(vec![Value::Integer(row.get(0)?), Value::Integer(row.get(1)?)])
        });
        Ok(rows.unwrap().map(Result::unwrap).collect())
    }

    pub(super) fn batch(&self, steps: &[Step]) -> Result<Vec<Outcome>, SqlError> {
        self.reach(Part::Store).map_err(unavailable)?;
        if let Some(left) = self.overtaken.get().checked_sub(1) {
            self.overtaken.set(left);
            return Err(SqlError::UniqueViolation("last_seen".to_owned()));
        }
        self.longest_batch.set(self.longest_batch.get().max(steps.len()));
        let transaction = self.store.unchecked_transaction().unwrap();
        let outcome = |step: &Step| {
            let mut statement = transaction.prepare_cached(&step.sql).unwrap();
            let affected = statement.execute(params_from_iter(step.params.iter().map(integer)));
            let affected = affected.unwrap() as u64;
            let rows = Vec::new();
            Outcome { affected, rows }
        };
        let outcomes = steps.iter().map(outcome).collect();
        transaction.commit().unwrap();
        Ok(outcomes)
    }
}

fn unavailable(error: HostError) -> SqlError {
    SqlError::Unavailable(format!("{error:?}"))
}

fn integer(value: &Value) -> Stored {
    match value {
        Value::Integer(number) => Stored::Integer(*number),
        other => panic!("a parameter is {other:?}"),
    }
}
