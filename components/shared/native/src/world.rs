//! A world and its parts, as a test sees them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use guest::native::{Answer, Host};
use guest::route::Decision;
use guest::sql::Value;
use guest::{Caller, Connection, Error};

use crate::cache::Cache;
use crate::call::{Call, Calls, Fault};
use crate::clock::Clock;
use crate::guard::Guards;
use crate::metadata::Metadata;
use crate::push::Push;
use crate::queue::Queue;
use crate::random::{Random, seed};
use crate::store::Store;
use crate::telemetry::Telemetry;

/// The ids that a world gives are beyond this.
const FIRST_ID: u64 = 1000;

/// What another function answers.
pub(crate) type Callee<T> = Rc<dyn Fn(Vec<u64>) -> Answer<Result<T, Error>>>;

/// The host of one function; the functions of a world share its parts.
#[derive(Clone)]
pub struct World {
    pub(crate) parts: Rc<Parts>,
    pub(crate) function: Rc<str>,
    pub(crate) cache_space: Rc<str>,
}

/// What a world consists of.
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) random: RefCell<Random>,
    pub(crate) last_id: Cell<u64>,
    /// By function and key; those of no function are everyone's.
    settings: RefCell<BTreeMap<(String, String), String>>,
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) metadata: Metadata,
    pub(crate) queue: Queue,
    pub(crate) guards: Guards,
    pub(crate) telemetry: Telemetry,
    pub(crate) pushes: RefCell<Vec<Push>>,
    pub(crate) calls: Calls<World>,
    pub(crate) routes: RefCell<Option<Callee<Decision>>>,
    pub(crate) watchers: RefCell<Option<Callee<Vec<Vec<u64>>>>>,
}

/// A user on a device: the session is ten times the user, the connection a hundred times.
pub fn caller(user: u64, device: &str) -> Caller {
    Caller {
        user,
        session: user * 10,
        device: device.to_owned(),
        connection: Some(user * 100),
    }
}

impl World {
    /// A world with users 1 to `users`, as the host of this thread; its randomness follows from [`seed`].
    pub fn with_users(users: u64) -> Self {
        Self::seeded(seed(), users)
    }

    /// A world whose randomness follows from this seed.
    pub fn seeded(seed: u64, users: u64) -> Self {
        let clock = Clock::default();
        let parts = Parts {
            random: RefCell::new(Random::new(seed)),
            last_id: Cell::new(FIRST_ID),
            settings: RefCell::default(),
            store: Store::new(),
            cache: Cache::new(&clock),
            metadata: Metadata::new(&clock),
            queue: Queue::new(&clock),
            guards: Guards::new(&clock),
            telemetry: Telemetry::default(),
            pushes: RefCell::default(),
            calls: Calls::default(),
            routes: RefCell::default(),
            watchers: RefCell::default(),
            clock,
        };
        let world = Self {
            parts: Rc::new(parts),
            function: Rc::from(""),
            cache_space: Rc::from(""),
        };
        for user in 1..=users {
            world.add_user(user);
        }
        world.give();
        world
    }

    /// A function of this world by its name: the settings, the rates, the breakers, the leases and the cache are its own.
    #[must_use]
    pub fn function(&self, name: &str) -> Self {
        self.function_with_cache(name, name)
    }

    /// A function that shares a space of the cache with others.
    #[must_use]
    pub fn function_with_cache(&self, name: &str, space: &str) -> Self {
        Self {
            parts: self.parts.clone(),
            function: Rc::from(name),
            cache_space: Rc::from(space),
        }
    }

    /// Makes this the host of this thread.
    pub fn give(&self) {
        guest::native::give(Rc::new(self.clone()));
    }

    /// Makes this the host of a call, whenever that is polled: functions may call each other and take turns on one thread.
    pub fn within<F: Future>(&self, call: F) -> Within<F> {
        Within {
            host: Rc::new(self.clone()),
            call: Box::pin(call),
        }
    }

    /// What a name is within this function.
    pub(crate) fn scoped(&self, name: &str) -> String {
        prefixed(&self.function, name)
    }

    /// What a key is within the space of this function in the cache.
    pub(crate) fn cache_key(&self, key: &str) -> String {
        prefixed(&self.cache_space, key)
    }
}

fn prefixed(scope: &str, name: &str) -> String {
    match scope {
        "" => name.to_owned(),
        scope => format!("{scope}/{name}"),
    }
}

/// What a test sets.
impl World {
    /// Adds a user: `U` and the id is the name, whose password is nobody's.
    pub fn add_user(&self, user: u64) {
        let sql = format!(
            "INSERT INTO users (id, name, name_key, password_hash, created_at) VALUES ({user}, 'U{user}', 'u{user}', 'x', 1)"
        );
        self.exec(&sql);
    }

    /// Sets a setting of the function, or of all functions where this is none.
    pub fn set(&self, key: &str, value: impl ToString) {
        let key = (self.function.to_string(), key.to_owned());
        self.parts.settings.borrow_mut().insert(key, value.to_string());
    }

    pub(crate) fn setting(&self, key: &str) -> Option<String> {
        let settings = self.parts.settings.borrow();
        let of = |function: &str| settings.get(&(function.to_owned(), key.to_owned())).cloned();
        of(&self.function).or_else(|| of(""))
    }

    /// Says what the function `route` answers.
    pub fn answer_routes(&self, route: impl Fn(Vec<u64>) -> Answer<Result<Decision, Error>> + 'static) {
        self.parts.routes.replace(Some(Rc::new(route)));
    }

    /// Says what the function `contacts` answers who asks for watchers.
    pub fn answer_watchers(&self, watchers: impl Fn(Vec<u64>) -> Answer<Result<Vec<Vec<u64>>, Error>> + 'static) {
        self.parts.watchers.replace(Some(Rc::new(watchers)));
    }

    /// Takes these calls out of reach: they are `unavailable`, and a cache out of reach has nothing.
    pub fn take_away(&self, calls: &[Call]) {
        self.parts.calls.take_away(calls);
    }

    /// Brings calls back into reach.
    pub fn give_back(&self, calls: &[Call]) {
        self.parts.calls.give_back(calls);
    }

    /// Lets the next of these calls fail; it replaces what was said before.
    pub fn fail(&self, calls: &[Call], fault: Fault) {
        self.fail_times(calls, fault, 1);
    }

    /// Lets the next of these calls fail, so many times.
    pub fn fail_times(&self, calls: &[Call], fault: Fault, times: u32) {
        self.parts.calls.fail(calls, fault, times);
    }

    /// No call fails any more.
    pub fn calm(&self) {
        self.parts.calls.calm();
    }

    /// What others do just before the next of these calls, or after some of them were let by.
    pub fn before(&self, calls: &[Call], skip: u32, hook: impl FnOnce(&Self) + 'static) {
        self.parts.calls.before(calls, skip, Box::new(hook));
    }
}

/// What a test asks.
impl World {
    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.parts.cache
    }

    /// The leases.
    pub fn metadata(&self) -> &Metadata {
        &self.parts.metadata
    }

    /// The queues.
    pub fn queue(&self) -> &Queue {
        &self.parts.queue
    }

    /// Rates and breakers.
    pub fn guards(&self) -> &Guards {
        &self.parts.guards
    }

    /// Logs and counters.
    pub fn telemetry(&self) -> &Telemetry {
        &self.parts.telemetry
    }

    /// What clients were told since the last time, in order.
    pub fn pushes(&self) -> Vec<Push> {
        self.parts.pushes.take()
    }

    /// The same as lines.
    pub fn told(&self) -> Vec<String> {
        self.pushes().iter().map(ToString::to_string).collect()
    }

    /// How many of these calls were made that were in reach.
    pub fn calls(&self, calls: &[Call]) -> u64 {
        self.parts.calls.made(calls)
    }

    /// How many of these calls a piece of work makes.
    pub fn calls_of<T>(&self, calls: &[Call], work: impl FnOnce() -> T) -> u64 {
        let before = self.calls(calls);
        work();
        self.calls(calls) - before
    }

    /// The most statements that one batch had.
    pub fn longest_batch(&self) -> usize {
        self.parts.calls.longest_batch.get()
    }

    /// Runs statements as another writer would.
    pub fn exec(&self, sql: &str) {
        self.parts.store.exec(sql);
    }

    /// Rows of integers, nulls as -1.
    pub fn rows(&self, sql: &str) -> Vec<Vec<i64>> {
        let number = |value: &Value| match value {
            Value::Integer(number) => *number,
            Value::Null => -1,
            other => panic!("{other:?} is no number, in {sql}"),
        };
        let rows = self.parts.store.rows(sql);
        rows.iter().map(|row| row.iter().map(number).collect()).collect()
    }

    /// The first number that a query gives.
    pub fn one(&self, sql: &str) -> i64 {
        let rows = self.rows(sql);
        let first = rows.first().and_then(|row| row.first());
        *first.unwrap_or_else(|| panic!("nothing from {sql}"))
    }
}

/// A connection of a user at the node `n`, whose session has the same id.
pub fn connection(id: u64, user: u64, device_class: &str) -> Connection {
    Connection {
        id,
        node: "n".to_owned(),
        user,
        session: id,
        device: "d".to_owned(),
        device_class: device_class.to_owned(),
    }
}

/// See [`World::within`].
pub struct Within<F> {
    host: Rc<dyn Host>,
    call: Pin<Box<F>>,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let outer = guest::native::give(self.host.clone());
        let polled = self.call.as_mut().poll(context);
        if let Some(outer) = outer {
            guest::native::give(outer);
        }
        polled
    }
}
