//! Connections to MySQL, kept for the life of the instance: a few, which its requests take turns with.
//!
//! Whoever uses a connection has it alone, so that nobody shares a transaction. How many there may be is a setting of the
//! instance, since what all instances of all functions have must fit into what the server takes; whoever finds none free
//! waits for one, for as long as a statement may take, and is told that the store is overloaded when that is over.

mod said;
mod value;

use std::cell::Cell;
use std::time::{Duration, Instant};

use contract::sql::{Error, Row, Value};
use dialect::failure::{Failure, Said, of_commit, unavailable};
use dialect::limits::{JOB_MS, LOCK_WAIT_S, ROWS_MAX};
use dialect::session;
use spin_sdk::mysql::{Connection, Error as SpinError, MysqlError};
use spin_sdk::variables;

use self::said::{failure, is_full, said};
use self::value::{bind, read};
use crate::patience::{pause, random, within};
use crate::pool::{self, Pool};
use crate::{address, log};

/// The variable that says how many connections an instance may have.
const CONNECTIONS_MAX: &str = "mysql_connections_max";
/// Unless it says anything.
const CONNECTIONS_MAX_DEFAULT: usize = 4;
/// How long anybody waits for a connection: as long as for what is done with it.
const WAIT: Duration = Duration::from_millis(JOB_MS);
/// How long whoever waits in line lets pass before it asks again, in milliseconds, and so much more for each that many
/// who are ahead.
const LOOK_EVERY_MS: u64 = 1;
const LOOK_LATER_EVERY: u64 = 4;
/// How long a server that has no room for a connection is left alone, in milliseconds, and up to twice that.
const FULL_PAUSE_MS: u64 = 20;
/// How long an instance keeps a connection while it could do without for a moment. There may be as many instances as
/// requests at a time, and none knows of the others: what all of them keep, nobody else can have.
const LIFE: Duration = Duration::from_secs(1);

thread_local! {
    static POOL: &'static Pool<Session> = Box::leak(Box::new(Pool::new(CONNECTIONS_MAX_DEFAULT)));
    /// Whether the pool has the bound that the variable says.
    static IS_BOUND: Cell<bool> = const { Cell::new(false) };
    /// Whether the server had no room once: from then on nothing is kept that nobody uses.
    static IS_SHORT: Cell<bool> = const { Cell::new(false) };
}

/// A connection, and what the server calls it.
struct Session {
    connection: Connection,
    number: i64,
    made: Instant,
}

/// A connection that somebody has alone. Whoever is given up in the middle of something leaves it in doubt: it is whole
/// only between an answer and the next question, and outside of a transaction.
pub(crate) struct Lease {
    held: pool::Lease<'static, Session>,
    whole: Cell<bool>,
    in_transaction: Cell<bool>,
}

/// Takes a connection, or makes one; waits for its turn where there are as many as there may be.
pub(crate) async fn take() -> Result<Lease, Failure> {
    let begun = Instant::now();
    let pool = bounded().await?;
    let Some(turn) = pool.stand_in_line() else {
        return Err(overloaded("too many wait for a connection"));
    };
    let held = loop {
        if let Some(held) = turn.take() {
            break held;
        }
        if begun.elapsed() >= WAIT {
            return Err(overloaded("all connections are in use"));
        }
        let ahead = u64::try_from(turn.ahead()).unwrap_or(u64::MAX);
        pause(LOOK_EVERY_MS + ahead / LOOK_LATER_EVERY).await;
    };
    // From here on it is given back when this is dropped.
    let mut lease = Lease {
        held,
        whole: Cell::new(true),
        in_transaction: Cell::new(false),
    };
    if lease.held.connection().is_none() {
        lease.connect(begun).await?;
    }
    Ok(lease)
}

/// Uses none of those again that wait to be used: the server that they were made to is gone.
pub(crate) fn give_up_free() {
    POOL.with(|pool| pool.give_up_free());
}

/// The pool, with the bound that the variable says.
async fn bounded() -> Result<&'static Pool<Session>, Failure> {
    let pool = POOL.with(|pool| *pool);
    if !IS_BOUND.get() {
        let most = match variables::get(CONNECTIONS_MAX).await {
            Ok(text) => text.trim().parse().ok().filter(|most| *most > 0).ok_or_else(|| {
                wrong(&format!(
                    "the variable `{CONNECTIONS_MAX}` must be a number of connections, at least 1"
                ))
            })?,
            Err(variables::Error::Undefined(_)) => CONNECTIONS_MAX_DEFAULT,
            Err(error) => return Err(unread(CONNECTIONS_MAX, &error)),
        };
        pool.bound(most);
        IS_BOUND.set(true);
    }
    Ok(pool)
}

/// No connection can be had for now; a later retry may succeed.
fn overloaded(reason: &str) -> Failure {
    Failure::of_request(Error::Overloaded(format!("the store is overloaded: {reason}")))
}

/// A variable is not what it must be: nothing helps but another value.
fn wrong(reason: &str) -> Failure {
    log::once(reason);
    Failure::of_request(unavailable(reason))
}

fn unread(variable: &str, error: &variables::Error) -> Failure {
    wrong(&format!("the variable `{variable}` cannot be read: {error}"))
}

impl Lease {
    /// Makes the connection, or takes one that has become free meanwhile. A server that has no room for it is asked again.
    async fn connect(&mut self, begun: Instant) -> Result<(), Failure> {
        let url = variables::get(address::MYSQL).await;
        let url = url.map_err(|error| unread(address::MYSQL, &error))?;
        let url = address::mysql(url).map_err(|reason| wrong(&reason))?;
        let connection = loop {
            let Some(opened) = within(JOB_MS, Connection::open(url.clone())).await else {
                return Err(Failure::halfway(unavailable("no connection in time")));
            };
            match opened {
                Ok(connection) => break connection,
                Err(error) if is_full(&error) => IS_SHORT.set(true),
                Err(SpinError::MysqlError(MysqlError::ConnectionFailed(text)))
                    if text.ends_with("is not permitted") =>
                {
                    return Err(wrong(&address::not_permitted(address::MYSQL, "mysql")));
                }
                Err(error) => return Err(failure(&error)),
            }
            if begun.elapsed() >= WAIT {
                return Err(overloaded("its server takes no more connections"));
            }
            pause(FULL_PAUSE_MS + random() % FULL_PAUSE_MS).await;
            if self.held.find() {
                return Ok(());
            }
        };
        self.held.fill(Session {
            connection,
            number: 0,
            made: Instant::now(),
        });
        // Until it knows how to behave nobody else may have it.
        self.whole.set(false);
        let number = self.begin().await?;
        self.whole.set(true);
        if let Some(session) = self.held.connection_mut() {
            session.number = number;
        }
        Ok(())
    }

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
        let connection = self.held.connection().map(|session| &session.connection);
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
        let number = self.held.connection().map_or(0, |session| session.number);
        let another = POOL.with(|pool| pool.spare()).filter(|_| number > 0);
        if let Some(mut another) = another {
            another.judge(false);
            let heard = match another.connection() {
                Some(session) => {
                    let kill = session.connection.execute(format!("KILL {number}"), Vec::new());
                    within(JOB_MS, kill).await.is_some()
                }
                None => false,
            };
            // One that was not heard of in time is as doubtful as the first.
            another.judge(heard);
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
        self.held.judge(self.whole.get() && !self.in_transaction.get());
        let session = self.held.connection();
        let is_old = session.is_some_and(|session| IS_SHORT.get() || session.made.elapsed() >= LIFE);
        self.held.age(is_old);
    }
}
