//! A host for native tests: the real schema in an in-memory SQLite, a cache, and a record of what was told.
//!
//! It keeps the promises of `mpim:host/sql`: a batch is one transaction, undone as a whole. It has no
//! clock, no network and one thread, so that every answer is ready at once.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use guest::bindings::mpim::host::cache::{Filled, Found};
use guest::bindings::mpim::host::sql::{Error as SqlError, Outcome, Step, Value};
use guest::native::{Answer, CacheTwin, Host};
use guest::{Audience, Caller, ContactChange, GroupChange, HostError};
use rusqlite::types::{Value as Stored, ValueRef};
use rusqlite::{Connection, params_from_iter};

const SCHEMA: &str = concat!(
    include_str!("../../../../migrations/sqlite/V1__chat.sql"),
    include_str!("../../../../migrations/sqlite/V5__row_ids.sql")
);

/// The store, the settings and the ears of a test.
pub(crate) struct TestHost {
    connection: Connection,
    ids: Cell<u64>,
    settings: RefCell<HashMap<String, String>>,
    /// SQL that another writer runs before the batch of this number, counted down.
    others: RefCell<Option<(u32, String)>>,
    /// Whether hints are refused.
    deaf: Cell<bool>,
    told: RefCell<Vec<String>>,
    cache: CacheTwin,
    /// Reads of the store, batches apart.
    queries: Cell<u64>,
}

/// A host with users of these ids, named `u` and the id, given to this thread.
pub(crate) fn host(users: impl IntoIterator<Item = u64>) -> Rc<TestHost> {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    for user in users {
        let sql = format!("INSERT INTO users VALUES ({user}, 'U{user}', 'u{user}', 'x', 1)");
        connection.execute_batch(&sql).unwrap();
    }
    let host = Rc::new(TestHost {
        connection,
        ids: Cell::new(1000),
        settings: RefCell::default(),
        others: RefCell::default(),
        deaf: Cell::new(false),
        told: RefCell::default(),
        cache: CacheTwin::default(),
        queries: Cell::new(0),
    });
    guest::native::give(host.clone());
    host
}

/// The answer of a call; no call waits for anything here.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a call waits for something that the test does not give"),
    }
}

/// A user on their connection, which has the id of the user.
pub(crate) fn caller(user: u64) -> Caller {
    Caller {
        user,
        session: user,
        device: "phone".to_owned(),
        connection: Some(user),
    }
}

impl TestHost {
    pub(crate) fn set(&self, key: &str, value: &str) {
        self.settings.borrow_mut().insert(key.to_owned(), value.to_owned());
    }

    /// From now on no hint reaches anyone.
    pub(crate) fn deafen(&self) {
        self.deaf.set(true);
    }

    /// Lets another writer come in between: after so many batches, before the next one.
    pub(crate) fn interrupt(&self, batches: u32, sql: &str) {
        self.others.replace(Some((batches, sql.to_owned())));
    }

    pub(crate) fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }

    /// How many reads of the store a call makes.
    pub(crate) fn queries_of<T>(&self, call: impl FnOnce() -> T) -> u64 {
        let before = self.queries.get();
        call();
        self.queries.get() - before
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// What was told since the last call, in order.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.take()
    }

    fn tell(&self, line: String) -> Answer<Result<(), HostError>> {
        let deaf = self.deaf.get();
        if !deaf {
            self.told.borrow_mut().push(line);
        }
        Box::pin(async move {
            if deaf {
                Err(HostError::Unavailable("deaf".to_owned()))
            } else {
                Ok(())
            }
        })
    }

    fn rows(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, SqlError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(sql_error)?;
        let columns = statement.column_count();
        let mut rows = statement
            .query(params_from_iter(params.iter().map(to_sqlite)))
            .map_err(sql_error)?;
        let mut read = Vec::new();
        while let Some(row) = rows.next().map_err(sql_error)? {
            read.push(
                (0..columns)
                    .map(|place| from_sqlite(row.get_ref(place).unwrap()))
                    .collect(),
            );
        }
        Ok(read)
    }

    fn one(&self, step: &Step) -> Result<Outcome, SqlError> {
        let rows = self.rows(&step.sql, &step.params)?;
        let affected = if step.sql.starts_with("SELECT") {
            0
        } else {
            self.connection.changes()
        };
        Ok(Outcome { affected, rows })
    }

    fn all(&self, steps: &[Step]) -> Result<Vec<Outcome>, SqlError> {
        let mut outcomes = Vec::new();
        for (place, step) in (0..).zip(steps) {
            let outcome = self.one(step)?;
            if outcome.affected.max(outcome.rows.len() as u64) < u64::from(step.at_least) {
                return Err(SqlError::Unmet(place));
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn let_others_write(&self) {
        let now = match self.others.borrow_mut().as_mut() {
            Some((0, _)) => true,
            Some((left, _)) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if now && let Some((_, sql)) = self.others.take() {
            self.run(&sql);
        }
    }
}

impl Host for TestHost {
    fn next_id(&self) -> u64 {
        self.ids.replace(self.ids.get() + 1)
    }

    fn config_value(&self, key: &str) -> Option<String> {
        self.settings.borrow().get(key).cloned()
    }

    fn query(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        self.queries.set(self.queries.get() + 1);
        let rows = self.rows(&sql, &params);
        Box::pin(async move { rows })
    }

    fn execute(&self, sql: String, params: Vec<Value>) -> Answer<Result<u64, SqlError>> {
        let outcome = self.one(&Step {
            sql,
            params,
            at_least: 0,
            taken: Vec::new(),
        });
        Box::pin(async move { outcome.map(|outcome| outcome.affected) })
    }

    fn batch(&self, steps: Vec<Step>) -> Answer<Result<Vec<Outcome>, SqlError>> {
        self.let_others_write();
        self.run("BEGIN IMMEDIATE");
        let outcomes = self.all(&steps);
        self.run(if outcomes.is_ok() { "COMMIT" } else { "ROLLBACK" });
        Box::pin(async move { outcomes })
    }

    fn lookup(&self, keys: Vec<String>) -> Answer<Result<Vec<Found>, HostError>> {
        let found = self.cache.lookup(&keys);
        Box::pin(async move { Ok(found) })
    }

    fn fill(&self, entries: Vec<Filled>) -> Answer<()> {
        self.cache.fill(entries);
        Box::pin(async {})
    }

    fn forget(&self, keys: Vec<String>) -> Answer<()> {
        self.cache.forget(&keys);
        Box::pin(async {})
    }

    fn subscribe(&self, users: Vec<u64>, topic: String) -> Answer<Result<(), HostError>> {
        self.tell(format!("subscribe {users:?} {topic}"))
    }

    fn unsubscribe(&self, users: Vec<u64>, topic: String) -> Answer<Result<(), HostError>> {
        self.tell(format!("unsubscribe {users:?} {topic}"))
    }

    fn notify_contact(&self, to: Audience, body: ContactChange) -> Answer<Result<(), HostError>> {
        self.tell(format!("{:?} by {} to {}", body.change, body.user, named(&to)))
    }

    fn notify_group(&self, to: Audience, body: GroupChange) -> Answer<Result<(), HostError>> {
        self.tell(format!(
            "{:?} {} in {} by {} to {}",
            body.change,
            body.user,
            body.group,
            body.by,
            named(&to)
        ))
    }
}

fn named(to: &Audience) -> String {
    let users: Vec<u64> = to.recipients.iter().map(|recipient| recipient.user).collect();
    format!("{users:?} {:?} except {:?}", to.topics, to.except_connection)
}

fn to_sqlite(value: &Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Integer(number) => Stored::Integer(*number),
        Value::Real(number) => Stored::Real(*number),
        Value::Text(text) => Stored::Text(text.clone()),
        Value::Blob(bytes) => Stored::Blob(bytes.clone()),
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

fn sql_error(error: rusqlite::Error) -> SqlError {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE) => SqlError::UniqueViolation(error.to_string()),
        _ => SqlError::Invalid(error.to_string()),
    }
}
