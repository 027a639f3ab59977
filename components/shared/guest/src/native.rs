//! The host that a native build calls in place of the WIT imports.
//!
//! A test gives one with [`give`]; it answers on the thread that gave it. Tests of components give the whole world of the
//! crate `native`. Every method but the clock and the randomness has a default, so that a host for another purpose writes
//! down only what its capabilities use: the others answer `unavailable`, or nothing where there is no error to give.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;

use crate::bindings::mpim::host::cache::{Filled, Found};
use crate::bindings::mpim::host::gateway::Audience;
use crate::bindings::mpim::host::metadata::Lease;
use crate::bindings::mpim::host::queue::Entry;
pub use crate::bindings::mpim::host::sql::Step;
use crate::bindings::mpim::host::sql::{Error as SqlError, Outcome, Value};
use crate::bindings::mpim::host::telemetry::Level;
use crate::bindings::mpim::host::types::{Error as HostError, Priority};
use crate::bindings::mpim::im::notify::{
    ContactChange, GroupChange, Kick, PresenceChange, Recall, StateChange, Waiting,
};
use crate::bindings::mpim::im::route::Decision;
use crate::bindings::mpim::im::types::{Error, ErrorCode, Message};

/// What a call of the host gives at last.
pub type Answer<T> = Pin<Box<dyn Future<Output = T>>>;

thread_local! {
    static HOST: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
}

/// The parameters of a step, with what it takes from the outcomes of the steps before it; `invalid` where it takes what
/// is not there.
pub fn params(step: &Step, outcomes: &[Outcome]) -> Result<Vec<Value>, SqlError> {
    let mut params = step.params.clone();
    for taken in &step.taken {
        let [param, from, column] =
            [taken.param, taken.step, taken.column].map(|index| usize::try_from(index).unwrap_or(usize::MAX));
        let rows = outcomes.get(from).map(|outcome| outcome.rows.as_slice());
        let value = match rows {
            Some([row]) => row.get(column),
            _ => None,
        };
        match (params.get_mut(param), value) {
            (Some(param), Some(value)) => param.clone_from(value),
            _ => return Err(SqlError::Invalid(format!("{taken:?} is not there"))),
        }
    }
    Ok(params)
}

/// Makes all later calls on this thread go to this host; gives the one to which they went before.
pub fn give(host: Rc<dyn Host>) -> Option<Rc<dyn Host>> {
    HOST.with(|given| given.replace(Some(host)))
}

/// The host given to this thread; without one, the one whose every answer is the default.
pub(crate) fn host() -> Rc<dyn Host> {
    HOST.with(|given| given.borrow().clone())
        .unwrap_or_else(|| Rc::new(Absent))
}

struct Absent;
impl Host for Absent {
    fn now_ms(&self) -> u64 {
        0
    }

    fn fill_random(&self, _: &mut [u8]) -> Result<(), HostError> {
        Err(HostError::Unavailable("the test gives no randomness".to_owned()))
    }
}

fn absent<T: 'static>() -> Answer<Result<T, HostError>> {
    Box::pin(async { Err(HostError::Unavailable("the test gives no such capability".to_owned())) })
}

fn absent_sql<T: 'static>() -> Answer<Result<T, SqlError>> {
    Box::pin(async { Err(SqlError::Unavailable("the test gives no store".to_owned())) })
}

fn absent_function<T: 'static>() -> Answer<Result<T, Error>> {
    Box::pin(async {
        Err(Error {
            code: ErrorCode::Internal,
            message: "the test gives no such function".to_owned(),
            retryable: false,
        })
    })
}

/// Every import of the project's components. Semantics are those of the WIT interfaces.
#[expect(
    missing_docs,
    unused_variables,
    reason = "each method is the import of its name, documented in wit/"
)]
pub trait Host {
    fn now_ms(&self) -> u64;
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), HostError>;
    fn next_id(&self) -> u64 {
        0
    }
    fn config_value(&self, key: &str) -> Option<String> {
        None
    }
    fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {}
    fn counter(&self, name: &str, by: u64, labels: &[(String, String)]) {}
    fn acquire_permits(&self, name: &str, key: &str, permits: u32) -> Result<(), u64> {
        Ok(())
    }

    fn query(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        absent_sql()
    }
    /// Without replicas nothing is old.
    fn query_stale(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        self.query(sql, params)
    }
    fn execute(&self, sql: String, params: Vec<Value>) -> Answer<Result<u64, SqlError>> {
        absent_sql()
    }
    fn batch(&self, steps: Vec<Step>) -> Answer<Result<Vec<Outcome>, SqlError>> {
        absent_sql()
    }

    /// Without a cache everything is to be loaded.
    fn lookup(&self, keys: Vec<String>) -> Answer<Result<Vec<Found>, HostError>> {
        Box::pin(async move { Ok(vec![Found::Load(0); keys.len()]) })
    }
    fn fill(&self, entries: Vec<Filled>) -> Answer<()> {
        Box::pin(async {})
    }
    fn forget(&self, keys: Vec<String>) -> Answer<()> {
        Box::pin(async {})
    }
    fn get_cached(&self, keys: Vec<String>) -> Answer<Result<Vec<Option<Vec<u8>>>, HostError>> {
        absent()
    }
    fn set_cached(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn exists_cached(&self, key: String) -> Answer<Result<bool, HostError>> {
        absent()
    }
    fn increment_cached(&self, key: String, by: i64, ttl_ms: u64) -> Answer<Result<i64, HostError>> {
        absent()
    }
    fn decrement_cached(&self, key: String, by: i64, ttl_ms: u64) -> Answer<Result<i64, HostError>> {
        absent()
    }
    fn push_left_cached(&self, key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Answer<Result<u64, HostError>> {
        absent()
    }
    fn push_right_cached(&self, key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Answer<Result<u64, HostError>> {
        absent()
    }
    fn range_cached(&self, key: String, start: i64, stop: i64) -> Answer<Result<Vec<Vec<u8>>, HostError>> {
        absent()
    }

    fn allow_call(&self, name: &str) -> bool {
        true
    }
    fn report_call(&self, name: &str, success: bool) {}

    fn hash_password(&self, password: String) -> Answer<Result<String, HostError>> {
        absent()
    }
    fn verify_password(&self, password: String, hash: String) -> Answer<Result<bool, HostError>> {
        absent()
    }
    fn put_leases(&self, leases: Vec<Lease>) -> Answer<Result<Vec<bool>, HostError>> {
        absent()
    }
    fn remove_lease(&self, set: String, member: String) -> Answer<Result<bool, HostError>> {
        absent()
    }
    fn set_members(&self, sets: Vec<String>) -> Answer<Result<Vec<Vec<String>>, HostError>> {
        absent()
    }
    fn count_members(&self, set: String) -> Answer<Result<u64, HostError>> {
        absent()
    }
    fn publish(&self, topic: String, priority: Priority, payload: Vec<u8>) -> Answer<Result<u64, HostError>> {
        absent()
    }
    fn receive(&self, topic: String, group: String, max: u32, wait_ms: u32) -> Answer<Result<Vec<Entry>, HostError>> {
        absent()
    }
    fn ack(&self, topic: String, group: String, ids: Vec<u64>) -> Answer<Result<u32, HostError>> {
        absent()
    }
    fn subscribe(&self, users: Vec<u64>, topic: String) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn unsubscribe(&self, users: Vec<u64>, topic: String) -> Answer<Result<(), HostError>> {
        absent()
    }

    fn route_message(&self, users: Vec<u64>) -> Answer<Result<Decision, Error>> {
        absent_function()
    }
    fn watchers(&self, users: Vec<u64>) -> Answer<Result<Vec<Vec<u64>>, Error>> {
        absent_function()
    }

    fn notify_message(&self, to: Audience, body: Message) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn notify_receipt(&self, to: Audience, body: StateChange) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn notify_recalled(&self, to: Audience, body: Recall) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn notify_presence(&self, to: Audience, body: PresenceChange) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn notify_kicked(&self, to: Audience, body: Kick) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn notify_contact(&self, to: Audience, body: ContactChange) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn notify_pending(&self, to: Audience, body: Waiting) -> Answer<Result<(), HostError>> {
        absent()
    }
    fn notify_group(&self, to: Audience, body: GroupChange) -> Answer<Result<(), HostError>> {
        absent()
    }
}
