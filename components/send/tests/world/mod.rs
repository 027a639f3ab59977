//! A host for the native components: a real SQLite with the real migration, routes and faults as a test
//! sets them, and every push written down. One call of the host is one step of a schedule: it yields
//! once before it acts, so that a test may let other calls in, or drop the call, in between.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test uses its part"
)]

pub mod calls;
pub mod dice;
mod sqlite;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use guest::bindings::mpim::host::cache::{Filled, Found};
use guest::bindings::mpim::host::sql::Step;
use guest::native::{Answer, CacheTwin, Host, params};
use guest::route::Decision;
use guest::sql::{Error as SqlError, Outcome, Value};
use guest::{Audience, Caller, Error, HostError, Message, Recall, StateChange, Waiting};
use rusqlite::Connection;
use sqlite::statement;

pub enum Push {
    Message(Audience, Message),
    Receipt(Audience, StateChange),
    Recalled(Audience, Recall),
    Pending(Audience, Waiting),
}

/// What goes wrong at the next batch.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    /// Nothing is kept.
    Refused,
    /// Everything is kept, and the caller does not learn it.
    AnswerLost,
}

/// Key and value.
type Entry = (String, Vec<u8>);

type Hook = Box<dyn FnOnce(&World)>;

#[derive(Default)]
struct Inner {
    db: Option<Connection>,
    ids: u64,
    config: HashMap<String, String>,
    online: HashSet<u64>,
    pushes: Vec<Push>,
    fault: Option<Fault>,
    before_batch: Option<Hook>,
    most_rows: Option<usize>,
    /// What the store had at a moment.
    copy: Option<Connection>,
    /// Which row the next queries lack, one each: its writer ends while they look.
    unseen: Vec<usize>,
}

#[derive(Clone)]
pub struct World {
    inner: Rc<RefCell<Inner>>,
    routes_fail: Rc<Cell<bool>>,
    pushes_fail: Rc<Cell<bool>>,
    pub routed: Rc<Cell<u32>>,
    pub queries: Rc<Cell<u32>>,
    /// How many rows the queries gave.
    pub queried_rows: Rc<Cell<usize>>,
    pub batches: Rc<Cell<u32>>,
    pub cache: Rc<CacheTwin>,
    /// Whether there is a cache.
    pub cached: Rc<Cell<bool>>,
    /// How often it was asked for anything.
    pub cache_calls: Rc<Cell<u32>>,
    /// Whether what is set by itself waits for [`World::set_late`].
    pub sets_wait: Rc<Cell<bool>>,
    late: Rc<RefCell<Vec<Entry>>>,
    /// What was counted, by name.
    pub counted: Rc<RefCell<HashMap<String, u64>>>,
}

/// Runs a call to its end.
pub fn run<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
}

pub fn caller(user: u64, device: &str) -> Caller {
    Caller {
        user,
        session: user * 10,
        device: device.to_owned(),
        connection: Some(user * 100),
    }
}

impl World {
    /// A world with users 1 to `users`, as the host of this thread.
    pub fn with_users(users: u64) -> Self {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(concat!(
            include_str!("../../../../migrations/sqlite/V1__chat.sql"),
            include_str!("../../../../migrations/sqlite/V5__row_ids.sql")
        ))
        .unwrap();
        let inner = Inner {
            db: Some(db),
            ids: 1000,
            ..Inner::default()
        };
        let world = Self {
            inner: Rc::new(RefCell::new(inner)),
            routes_fail: Rc::default(),
            pushes_fail: Rc::default(),
            routed: Rc::default(),
            queries: Rc::default(),
            queried_rows: Rc::default(),
            batches: Rc::default(),
            cache: Rc::default(),
            cached: Rc::default(),
            cache_calls: Rc::default(),
            sets_wait: Rc::default(),
            late: Rc::default(),
            counted: Rc::default(),
        };
        for user in 1..=users {
            world.exec(&format!(
                "INSERT INTO users VALUES ({user}, 'u{user}', 'u{user}', '', 0)"
            ));
        }
        guest::native::give(Rc::new(world.clone()));
        world
    }

    pub fn group(&self, group: u64, members: &[u64]) {
        let count = members.len();
        self.exec(&format!("INSERT INTO conversations VALUES ({group}, NULL, NULL, 0, 0)"));
        self.exec(&format!(
            "INSERT INTO chat_groups VALUES ({group}, 'g', {}, 0, {count}, 0)",
            members[0]
        ));
        for member in members {
            self.exec(&format!("INSERT INTO members VALUES ({group}, {member}, 0, 0, 0, 0)"));
        }
    }

    /// As the component `groups` does it: at the last seq of the conversation, in one transaction.
    pub fn join(&self, group: u64, user: u64) {
        self.exec(&format!(
            "INSERT INTO members SELECT c.id, {user}, 0, 0, c.last_seq, c.last_seq FROM conversations c WHERE c.id = {group}"
        ));
        self.exec(&format!(
            "UPDATE chat_groups SET member_count = member_count + 1 WHERE id = {group}"
        ));
    }

    pub fn leave(&self, group: u64, user: u64) {
        self.exec(&format!(
            "DELETE FROM members WHERE conversation_id = {group} AND user_id = {user}"
        ));
        self.exec(&format!(
            "UPDATE chat_groups SET member_count = member_count - 1 WHERE id = {group}"
        ));
    }

    /// The next page that is read lacks a row, and the one after it another.
    pub fn unsees(&self, rows: &[usize]) {
        self.inner.borrow_mut().unseen = rows.iter().rev().copied().collect();
    }

    /// From now on old answers are those of now.
    pub fn copy(&self) {
        let file = std::env::temp_dir().join(format!("mpim-copy-{}-{:p}", std::process::id(), self));
        self.exec(&format!("VACUUM INTO '{}'", file.display()));
        let copy = Connection::open(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        self.inner.borrow_mut().copy = Some(copy);
    }

    pub fn set(&self, key: &str, value: impl ToString) {
        self.inner.borrow_mut().config.insert(key.to_owned(), value.to_string());
    }

    pub fn online(&self, users: &[u64]) {
        self.inner.borrow_mut().online = users.iter().copied().collect();
    }

    pub fn routes_fail(&self, fail: bool) {
        self.routes_fail.set(fail);
    }

    pub fn pushes_fail(&self, fail: bool) {
        self.pushes_fail.set(fail);
    }

    pub fn fault(&self, fault: Option<Fault>) {
        self.inner.borrow_mut().fault = fault;
    }

    /// What others do just before the next batch.
    pub fn before_batch(&self, hook: impl FnOnce(&Self) + 'static) {
        self.inner.borrow_mut().before_batch = Some(Box::new(hook));
    }

    /// A query that gives more rows is `overloaded` from now on.
    pub fn most_rows(&self, most: usize) {
        self.inner.borrow_mut().most_rows = Some(most);
    }

    /// Sets one of the values that wait.
    pub fn set_late(&self, among: usize) {
        let mut late = self.late.borrow_mut();
        if !late.is_empty() {
            let at = among % late.len();
            let (key, value) = late.swap_remove(at);
            self.cache.set(key, value);
        }
    }

    /// One call of the cache; none where there is no cache.
    fn with_cache<T: 'static>(&self, call: impl FnOnce(&Self) -> T + Unpin + 'static) -> Option<Answer<T>> {
        if !self.cached.get() {
            return None;
        }
        let world = self.clone();
        Some(step(move || {
            world.cache_calls.set(world.cache_calls.get() + 1);
            call(&world)
        }))
    }

    pub fn pushes(&self) -> Vec<Push> {
        std::mem::take(&mut self.inner.borrow_mut().pushes)
    }

    pub fn exec(&self, sql: &str) {
        self.inner.borrow().db.as_ref().unwrap().execute_batch(sql).unwrap();
    }

    /// Rows of integers, nulls as -1.
    pub fn rows(&self, sql: &str) -> Vec<Vec<i64>> {
        let inner = self.inner.borrow();
        let mut statement = inner.db.as_ref().unwrap().prepare(sql).unwrap();
        let width = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                (0..width)
                    .map(|at| Ok(row.get::<_, Option<i64>>(at)?.unwrap_or(-1)))
                    .collect()
            })
            .unwrap();
        rows.map(Result::unwrap).collect()
    }

    pub fn one(&self, sql: &str) -> i64 {
        self.rows(sql)[0][0]
    }

    fn transact(&self, steps: &[Step]) -> Result<Vec<Outcome>, SqlError> {
        let hook = self.inner.borrow_mut().before_batch.take();
        if let Some(hook) = hook {
            hook(self);
        }
        let mut inner = self.inner.borrow_mut();
        let fault = inner.fault.take();
        if fault == Some(Fault::Refused) {
            return Err(SqlError::Unavailable("refused".to_owned()));
        }
        let transaction = inner.db.as_mut().unwrap().transaction().unwrap();
        let mut outcomes = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let outcome = statement(&transaction, &step.sql, &params(step, &outcomes)?)?;
            if outcome.affected + (outcome.rows.len() as u64) < u64::from(step.at_least) {
                return Err(SqlError::Unmet(index as u32));
            }
            outcomes.push(outcome);
        }
        transaction.commit().unwrap();
        match fault {
            Some(_) => Err(SqlError::Timeout("lost".to_owned())),
            None => Ok(outcomes),
        }
    }

    fn push(&self, push: Push) -> Result<(), HostError> {
        if self.pushes_fail.get() {
            return Err(HostError::Overloaded("full".to_owned()));
        }
        self.inner.borrow_mut().pushes.push(push);
        Ok(())
    }
}

/// Lets others go first, once, and then acts.
struct Turn<F>(Option<F>, bool);

impl<T, F: FnOnce() -> T + Unpin> Future for Turn<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        if !self.1 {
            self.1 = true;
            return Poll::Pending;
        }
        Poll::Ready(self.0.take().unwrap()())
    }
}

fn step<T: 'static>(act: impl FnOnce() -> T + Unpin + 'static) -> Answer<T> {
    Box::pin(Turn(Some(act), false))
}

fn no_cache() -> HostError {
    HostError::Unavailable("no cache".to_owned())
}

impl Host for World {
    fn next_id(&self) -> u64 {
        let mut inner = self.inner.borrow_mut();
        inner.ids += 1;
        inner.ids
    }

    fn config_value(&self, key: &str) -> Option<String> {
        self.inner.borrow().config.get(key).cloned()
    }

    fn query(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        let world = self.clone();
        step(move || {
            world.queries.set(world.queries.get() + 1);
            let mut inner = world.inner.borrow_mut();
            let mut rows = statement(inner.db.as_ref().unwrap(), &sql, &params)?.rows;
            if sql.contains("ORDER BY")
                && let Some(unseen) = inner.unseen.pop()
            {
                rows.remove(unseen);
            }
            world.queried_rows.set(world.queried_rows.get() + rows.len());
            match inner.most_rows {
                Some(most) if rows.len() > most => Err(SqlError::Overloaded("too many rows".to_owned())),
                _ => Ok(rows),
            }
        })
    }

    fn query_stale(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        if self.inner.borrow().copy.is_none() {
            return self.query(sql, params);
        }
        let world = self.clone();
        step(move || {
            let inner = world.inner.borrow();
            Ok(statement(inner.copy.as_ref().unwrap(), &sql, &params)?.rows)
        })
    }

    fn execute(&self, sql: String, params: Vec<Value>) -> Answer<Result<u64, SqlError>> {
        let world = self.clone();
        step(move || {
            let steps = [Step {
                sql,
                params,
                at_least: 0,
                taken: Vec::new(),
            }];
            world.transact(&steps).map(|outcomes| outcomes[0].affected)
        })
    }

    fn batch(&self, steps: Vec<Step>) -> Answer<Result<Vec<Outcome>, SqlError>> {
        let world = self.clone();
        step(move || {
            world.batches.set(world.batches.get() + 1);
            world.transact(&steps)
        })
    }

    fn lookup(&self, keys: Vec<String>) -> Answer<Result<Vec<Found>, HostError>> {
        let none = vec![Found::Load(0); keys.len()];
        self.with_cache(move |world| Ok(world.cache.lookup(&keys)))
            .unwrap_or_else(|| Box::pin(async { Ok(none) }))
    }

    fn fill(&self, entries: Vec<Filled>) -> Answer<()> {
        self.with_cache(|world| world.cache.fill(entries))
            .unwrap_or_else(|| Box::pin(async {}))
    }

    fn forget(&self, keys: Vec<String>) -> Answer<()> {
        self.with_cache(move |world| world.cache.forget(&keys))
            .unwrap_or_else(|| Box::pin(async {}))
    }

    fn set_cached(&self, key: String, value: Vec<u8>, _: u64) -> Answer<Result<(), HostError>> {
        self.with_cache(|world| {
            if world.sets_wait.get() {
                world.late.borrow_mut().push((key, value));
            } else {
                world.cache.set(key, value);
            }
            Ok(())
        })
        .unwrap_or_else(|| Box::pin(async { Err(no_cache()) }))
    }

    fn get_cached(&self, keys: Vec<String>) -> Answer<Result<Vec<Option<Vec<u8>>>, HostError>> {
        self.with_cache(move |world| Ok(world.cache.get_many(&keys)))
            .unwrap_or_else(|| Box::pin(async { Err(no_cache()) }))
    }

    fn counter(&self, name: &str, by: u64, _: &[(String, String)]) {
        *self.counted.borrow_mut().entry(name.to_owned()).or_default() += by;
    }

    fn route_message(&self, users: Vec<u64>) -> Answer<Result<Decision, Error>> {
        let world = self.clone();
        step(move || {
            world.routed.set(world.routed.get() + 1);
            if world.routes_fail.get() {
                return Err(Error::internal("no routes"));
            }
            let known = &world.inner.borrow().online;
            let (online, offline): (Vec<u64>, Vec<u64>) = users.into_iter().partition(|user| known.contains(user));
            let nodes = if online.is_empty() {
                vec![]
            } else {
                vec!["node-a".to_owned()]
            };
            let multi_connection = online.clone();
            Ok(Decision {
                nodes,
                online,
                multi_connection,
                offline,
            })
        })
    }

    fn notify_message(&self, to: Audience, body: Message) -> Answer<Result<(), HostError>> {
        let world = self.clone();
        step(move || world.push(Push::Message(to, body)))
    }

    fn notify_pending(&self, to: Audience, body: Waiting) -> Answer<Result<(), HostError>> {
        let world = self.clone();
        step(move || world.push(Push::Pending(to, body)))
    }

    fn notify_receipt(&self, to: Audience, body: StateChange) -> Answer<Result<(), HostError>> {
        let world = self.clone();
        step(move || world.push(Push::Receipt(to, body)))
    }

    fn notify_recalled(&self, to: Audience, body: Recall) -> Answer<Result<(), HostError>> {
        let world = self.clone();
        step(move || world.push(Push::Recalled(to, body)))
    }
}
