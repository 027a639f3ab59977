//! Connections to MySQL, kept for the life of the instance.
//!
//! Whoever uses a connection has it alone, so that nobody shares a transaction: Spin serves up to sixteen requests at a
//! time in one instance, which is how many connections there come to be. A connection that is doubtful is never
//! used again, and dropped only when no other is in use or being made: Spin can hang where one is dropped while another
//! is opened.

mod said;
mod value;

use std::cell::{Cell, RefCell};
use std::mem;

use contract::sql::{Error, Row, Value};
use dialect::failure::{Failure, Said, of_commit, unavailable};
use dialect::limits::{JOB_MS, LOCK_WAIT_S, ROWS_MAX};
use dialect::session;
use spin_sdk::mysql::{Connection, Error as SpinError, MysqlError};
use spin_sdk::variables;

use self::said::{failure, said};
use self::value::{bind, read};
use crate::patience::within;

/// The variable that says where the database is: `mysql://user:password@host:port/database`.
const URL: &str = "mysql_url";
/// What the URL must say as well: an UPDATE counts the rows that it finds, and no file of a socket is looked for.
const OPTIONS: [(&str, &str); 3] = [
    ("client_found_rows", "true"),
    ("prefer_socket", "false"),
    ("stmt_cache_size", "16"),
];

#[derive(Default)]
struct Pool {
    ready: RefCell<Vec<Session>>,
    /// Those that are not used again.
    doubtful: RefCell<Vec<Session>>,
    busy: Cell<usize>,
}

thread_local! {
    static POOL: Pool = Pool::default();
}

/// A connection, and what the server calls it.
struct Session {
    connection: Connection,
    number: i64,
}

/// A connection that somebody has alone. Whoever is given up in the middle of something leaves it in doubt: it is whole
/// only between an answer and the next question, and outside of a transaction.
pub(crate) struct Lease {
    session: Option<Session>,
    whole: Cell<bool>,
    in_transaction: Cell<bool>,
}

/// Takes a connection, or makes one.
pub(crate) async fn take() -> Result<Lease, Failure> {
    let session = POOL.with(|pool| {
        pool.busy.set(pool.busy.get() + 1);
        pool.ready.borrow_mut().pop()
    });
    let is_new = session.is_none();
    // From here on the place among the busy is given back when this is dropped.
    let mut lease = Lease {
        session,
        whole: Cell::new(true),
        in_transaction: Cell::new(false),
    };
    if is_new {
        let connection = open().await?;
        lease.session = Some(Session { connection, number: 0 });
        let number = lease.begin().await?;
        if let Some(session) = &mut lease.session {
            session.number = number;
        }
    }
    Ok(lease)
}

/// Uses none of those again that wait to be used: the server that they were made to is gone.
pub(crate) fn give_up_ready() {
    POOL.with(|pool| {
        let ready = mem::take(&mut *pool.ready.borrow_mut());
        pool.doubtful.borrow_mut().extend(ready);
    });
}

async fn open() -> Result<Connection, Failure> {
    let url = variables::get(URL)
        .await
        .map_err(|error| Failure::halfway(unavailable(&format!("the variable {URL} cannot be read: {error}"))))?;
    let Some(opened) = within(JOB_MS, Connection::open(with_options(url))).await else {
        return Err(Failure::halfway(unavailable("no connection in time")));
    };
    opened.map_err(|error| match error {
        SpinError::MysqlError(MysqlError::ConnectionFailed(text)) if text.ends_with("is not permitted") => {
            Failure::halfway(unavailable("the application may not connect there"))
        }
        error => failure(&error),
    })
}

fn with_options(mut url: String) -> String {
    for (name, value) in OPTIONS {
        if !url.contains(&format!("{name}=")) {
            let joint = if url.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{joint}{name}={value}"));
        }
    }
    url
}

impl Lease {
    /// Tells a new session how to behave. Gives its number.
    async fn begin(&self) -> Result<i64, Failure> {
        for wish in session::greeting(LOCK_WAIT_S, ROWS_MAX + 1) {
            self.execute(&wish, &[]).await?;
        }
        let about = self.query("SELECT VERSION(), CONNECTION_ID()", &[]).await?.pop();
        let (version, number) = match about.as_deref() {
            Some([Value::Text(version), Value::Integer(number)]) => (version.as_str(), *number),
            _ => return Err(Failure::halfway(unavailable("it does not say who it is"))),
        };
        for wish in session::wishes(version, JOB_MS) {
            // Not every server knows these.
            let _ = self.execute(&wish, &[]).await;
        }
        Ok(number)
    }

    fn connection(&self) -> Result<&Connection, Failure> {
        let session = self.session.as_ref();
        let connection = session.map(|session| &session.connection);
        connection.ok_or_else(|| Failure::gone("there is no connection"))
    }

    /// What a question gives, in time. The connection is in doubt until the answer is there.
    async fn answered<T>(&self, question: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let was_whole = self.whole.replace(false);
        let Some(answer) = within(JOB_MS, question).await else {
            return Err(Failure::halfway(Error::Timeout(
                "the store did not answer in time; a write may or may not have been kept".to_owned(),
            )));
        };
        if answer.as_ref().err().is_none_or(|failure| failure.whole) {
            self.whole.set(was_whole);
        }
        answer
    }

    /// Runs a statement that returns nothing.
    pub(crate) async fn execute(&self, sql: &str, params: &[Value]) -> Result<(), Failure> {
        let (connection, params) = (self.connection()?, bind(params)?);
        let done = async { connection.execute(sql, params).await.map_err(|error| failure(&error)) };
        self.answered(done).await
    }

    /// Rows that the last statement found or changed.
    pub(crate) async fn affected(&self) -> Result<u64, Failure> {
        match self.query("SELECT ROW_COUNT()", &[]).await?.pop().as_deref() {
            Some([Value::Integer(count)]) => Ok(u64::try_from(*count).unwrap_or(0)),
            _ => Err(Failure::halfway(unavailable(
                "it is not known what a statement changed",
            ))),
        }
    }

    /// The rows of a statement.
    pub(crate) async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Failure> {
        self.answered(self.rows(sql, params)).await
    }

    async fn rows(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, Failure> {
        let connection = self.connection()?;
        let mut answer = match connection.query(sql, bind(params)?).await {
            Ok(answer) => answer,
            // Spin keeps the words of the server to itself when a query fails; it passes them on when the same
            // statement is executed. One that fails no more had bad luck.
            Err(error) => {
                let said = connection.execute(sql, bind(params)?).await;
                return Err(match said {
                    Err(error) => failure(&error),
                    Ok(()) => Failure {
                        error: unavailable(&error.to_string()),
                        again: Some("query"),
                        whole: true,
                    },
                });
            }
        };
        let mut rows = Vec::new();
        while let Some(row) = answer.rows().next().await {
            if rows.len() == ROWS_MAX {
                // The rest of the answer stays unread.
                return Err(Failure::halfway(Error::Overloaded(
                    "the result has too many rows".to_owned(),
                )));
            }
            let row: Result<Row, Error> = row.into_iter().map(read).collect();
            rows.push(row.map_err(Failure::halfway)?);
        }
        match answer.result().await {
            Ok(()) => Ok(rows),
            Err(SpinError::MysqlError(MysqlError::ValueConversionFailed(_))) => Err(Failure::halfway(Error::Invalid(
                "a column has a type that Spin cannot carry: decimals and times must be cast in the statement"
                    .to_owned(),
            ))),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Begins a transaction. Nobody uses the connection again until it is ended.
    pub(crate) async fn begin_transaction(&self) -> Result<(), Failure> {
        self.in_transaction.set(true);
        self.execute("SET autocommit = 0", &[]).await
    }

    /// Commits, and makes the connection one for single statements again.
    pub(crate) async fn commit(&self) -> Result<(), Failure> {
        let connection = self.connection()?;
        let committed = async {
            connection
                .execute("COMMIT", Vec::new())
                .await
                .map_err(|error| match said(&error) {
                    Some((code, state, message)) => of_commit(Said {
                        code,
                        state: &state,
                        message: &message,
                    }),
                    None => Failure::unknown("the connection was lost"),
                })
        };
        self.answered(committed).await?;
        // What is committed stays so, whatever becomes of the connection.
        let _ = self.end().await;
        Ok(())
    }

    /// Undoes what is not committed. A connection on which that cannot be done is ended by the server, so that nothing
    /// stays locked.
    pub(crate) async fn roll_back(&self) {
        if self.whole.get() && self.execute("ROLLBACK", &[]).await.is_ok() && self.end().await.is_ok() {
            return;
        }
        self.whole.set(false);
        let number = self.session.as_ref().map_or(0, |session| session.number);
        let another = POOL.with(|pool| pool.ready.borrow_mut().pop());
        if let Some(another) = another.filter(|_| number > 0) {
            let kill = another.connection.execute(format!("KILL {number}"), Vec::new());
            // One that was not heard of in time is as doubtful as the first.
            let heard = within(JOB_MS, kill).await.is_some();
            POOL.with(|pool| {
                let place = if heard { &pool.ready } else { &pool.doubtful };
                place.borrow_mut().push(another);
            });
        }
    }

    async fn end(&self) -> Result<(), Failure> {
        self.execute("SET autocommit = 1", &[]).await?;
        self.in_transaction.set(false);
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let session = self.session.take();
        let whole = self.whole.get() && !self.in_transaction.get();
        let finished = POOL.with(|pool| {
            pool.busy.set(pool.busy.get().saturating_sub(1));
            if let Some(session) = session {
                let place = if whole { &pool.ready } else { &pool.doubtful };
                place.borrow_mut().push(session);
            }
            match pool.busy.get() {
                0 => mem::take(&mut *pool.doubtful.borrow_mut()),
                _ => Vec::new(),
            }
        });
        drop(finished);
    }
}
