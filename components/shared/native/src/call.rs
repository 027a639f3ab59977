//! The calls of the host, by kind: how many were made, which are out of reach, what goes wrong at the next, and what others
//! do before it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use guest::sql::Error as SqlError;
use guest::{Error, ErrorCode, HostError};

/// A kind of call that a component makes and waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `sql.query`.
    Query,
    /// `sql.query-stale`.
    QueryStale,
    /// `sql.execute`.
    Execute,
    /// `sql.batch`.
    Batch,
    /// `cache.lookup`.
    Lookup,
    /// `cache.fill`.
    Fill,
    /// `cache.forget`.
    Forget,
    /// `cache.get-many`.
    Get,
    /// `cache.set`.
    Set,
    /// `cache.exists`.
    Exists,
    /// `cache.increment`.
    Increment,
    /// `cache.decrement`.
    Decrement,
    /// `cache.push-left`.
    PushLeft,
    /// `cache.push-right`.
    PushRight,
    /// `cache.range`.
    Range,
    /// `metadata.put`.
    Put,
    /// `metadata.remove`.
    Remove,
    /// `metadata.members`.
    Members,
    /// `metadata.count`.
    Count,
    /// `queue.publish`.
    Publish,
    /// `queue.receive`.
    Receive,
    /// `queue.ack`.
    Ack,
    /// Both of `subscriptions`.
    Subscribe,
    /// All of `notify`.
    Notify,
    /// `password.hash`.
    Hash,
    /// `password.verify`.
    Verify,
    /// `route.route-message`.
    Route,
    /// `relations.watchers`.
    Watchers,
}

impl Call {
    /// All of the store.
    pub const STORE: &[Self] = &[Self::Query, Self::QueryStale, Self::Execute, Self::Batch];
    /// Those that write into the store.
    pub const WRITES: &[Self] = &[Self::Execute, Self::Batch];
    /// All of the cache. Without it everything is to be loaded.
    pub const CACHE: &[Self] = &[
        Self::Lookup,
        Self::Fill,
        Self::Forget,
        Self::Get,
        Self::Set,
        Self::Exists,
        Self::Increment,
        Self::Decrement,
        Self::PushLeft,
        Self::PushRight,
        Self::Range,
    ];
    /// All of the leases.
    pub const METADATA: &[Self] = &[Self::Put, Self::Remove, Self::Members, Self::Count];
    /// All of the queues.
    pub const QUEUE: &[Self] = &[Self::Publish, Self::Receive, Self::Ack];
    /// All that tells clients something.
    pub const PUSHES: &[Self] = &[Self::Subscribe, Self::Notify];
}

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the caller learns it.
    Refused,
    /// Everything is done, and the caller does not learn it.
    AnswerLost,
    /// Another writer was faster: a unique key is violated. For calls that write into the store.
    Overtaken,
}

/// What others do before a call.
pub(crate) type Hook<W> = Box<dyn FnOnce(&W)>;

struct Waiting<W> {
    before: BTreeSet<Call>,
    skip: u32,
    hook: Hook<W>,
}

struct Trouble {
    at: BTreeSet<Call>,
    fault: Fault,
    times: u32,
}

/// What a test has said of calls, and how many were made.
pub(crate) struct Calls<W> {
    made: RefCell<BTreeMap<Call, u64>>,
    away: RefCell<BTreeSet<Call>>,
    hooks: RefCell<Vec<Waiting<W>>>,
    trouble: RefCell<Option<Trouble>>,
    /// The most statements that one batch had.
    pub(crate) longest_batch: Cell<usize>,
}

impl<W> Default for Calls<W> {
    fn default() -> Self {
        Self {
            made: RefCell::default(),
            away: RefCell::default(),
            hooks: RefCell::default(),
            trouble: RefCell::default(),
            longest_batch: Cell::default(),
        }
    }
}

impl<W> Calls<W> {
    pub(crate) fn made(&self, calls: &[Call]) -> u64 {
        let made = self.made.borrow();
        calls.iter().filter_map(|call| made.get(call)).sum()
    }

    pub(crate) fn take_away(&self, calls: &[Call]) {
        self.away.borrow_mut().extend(calls);
    }

    pub(crate) fn give_back(&self, calls: &[Call]) {
        self.away.borrow_mut().retain(|call| !calls.contains(call));
    }

    pub(crate) fn fail(&self, calls: &[Call], fault: Fault, times: u32) {
        let at = calls.iter().copied().collect();
        self.trouble.replace(Some(Trouble { at, fault, times }));
    }

    pub(crate) fn calm(&self) {
        self.trouble.take();
    }

    pub(crate) fn before(&self, calls: &[Call], skip: u32, hook: Hook<W>) {
        let before = calls.iter().copied().collect();
        self.hooks.borrow_mut().push(Waiting { before, skip, hook });
    }

    /// What others do before this call.
    pub(crate) fn hook(&self, call: Call) -> Option<Hook<W>> {
        let mut hooks = self.hooks.borrow_mut();
        let at = hooks.iter().position(|waiting| waiting.before.contains(&call))?;
        match hooks.get_mut(at)? {
            Waiting { skip: 0, .. } => Some(hooks.remove(at).hook),
            waiting => {
                waiting.skip -= 1;
                None
            }
        }
    }

    /// Counts a call that is in reach, and gives what goes wrong at it.
    pub(crate) fn begin<E: Failure>(&self, call: Call) -> Result<Option<Fault>, E> {
        if self.away.borrow().contains(&call) {
            return Err(E::unavailable(format!("{call:?} is out of reach")));
        }
        *self.made.borrow_mut().entry(call).or_default() += 1;
        let mut trouble = self.trouble.borrow_mut();
        let Some(met) = trouble.as_mut().filter(|trouble| trouble.at.contains(&call)) else {
            return Ok(None);
        };
        let fault = met.fault;
        met.times = met.times.saturating_sub(1);
        if met.times == 0 {
            *trouble = None;
        }
        Ok(Some(fault))
    }
}

/// How a kind of error says that a call failed.
pub(crate) trait Failure {
    fn unavailable(message: String) -> Self;
    fn lost() -> Self;
    fn overtaken() -> Self;
}

impl Failure for SqlError {
    fn unavailable(message: String) -> Self {
        Self::Unavailable(message)
    }

    fn lost() -> Self {
        Self::Timeout("the answer was lost".to_owned())
    }

    fn overtaken() -> Self {
        Self::UniqueViolation("another writer was faster".to_owned())
    }
}

impl Failure for HostError {
    fn unavailable(message: String) -> Self {
        Self::Unavailable(message)
    }

    fn lost() -> Self {
        Self::Timeout("the answer was lost".to_owned())
    }

    fn overtaken() -> Self {
        panic!("only writers of the store are overtaken")
    }
}

impl Failure for Error {
    fn unavailable(message: String) -> Self {
        Self {
            code: ErrorCode::Unavailable,
            message,
            retryable: true,
        }
    }

    fn lost() -> Self {
        Self::unavailable("the answer was lost".to_owned())
    }

    fn overtaken() -> Self {
        panic!("only writers of the store are overtaken")
    }
}
