//! Connections to MySQL, kept for the life of the instance.
//!
//! Whoever uses a connection has it alone, so that nobody shares a transaction: Spin serves up to sixteen requests at a
//! time in one instance, which is how many connections there come to be. A connection that is doubtful is never
//! used again, and dropped only when no other is in use or being made: Spin can hang where one is dropped while another
//! is opened.

use std::cell::{Cell, RefCell};
use std::mem;

use dialect::failure::{Failure, Said, judge, unavailable};
use dialect::session;
use dialect::sql::{Error, Row, Value};
use spin_sdk::mysql::{Connection, DbValue, Error as SpinError, MysqlError, ParameterValue};
use spin_sdk::variables;

use crate::patience::within;

/// How long one statement may take, in milliseconds, as on our own host.
const PATIENCE_MS: u64 = 5_000;
/// How long a statement waits for a lock, in seconds.
const LOCK_WAIT_S: u32 = 2;
/// Rows that one query may return.
const ROWS_MAX: usize = 10_000;
/// The variable that says where the database is: `mysql://user:password@host:port/database`.
const URL: &str = "mysql_url";
/// What the URL must say as well: an UPDATE counts the rows that it finds, and no file of a socket is looked for.
const OPTIONS: [(&str, &str); 2] = [("client_found_rows", "true"), ("prefer_socket", "false")];

#[derive(Default)]
struct Pool {
    ready: RefCell<Vec<Connection>>,
    /// Connections that are not used again.
    doubtful: RefCell<Vec<Connection>>,
    busy: Cell<usize>,
}

thread_local! {
    static POOL: Pool = Pool::default();
}

/// A connection that somebody has alone.
pub(crate) struct Lease {
    connection: Option<Connection>,
    /// Whether it can be used again: nothing is open on it.
    whole: Cell<bool>,
}

/// Takes a connection, or makes one.
pub(crate) async fn take() -> Result<Lease, Failure> {
    let connection = POOL.with(|pool| {
        pool.busy.set(pool.busy.get() + 1);
        pool.ready.borrow_mut().pop()
    });
    // From here on the place among the busy is given back when this is dropped.
    let mut lease = Lease {
        connection,
        whole: Cell::new(true),
    };
    if lease.connection.is_none() {
        lease.whole.set(false);
        lease.connection = Some(open().await?);
        lease.begin().await?;
        lease.whole.set(true);
    }
    Ok(lease)
}

async fn open() -> Result<Connection, Failure> {
    let url = variables::get(URL)
        .await
        .map_err(|error| Failure::gone(&format!("the variable {URL} cannot be read: {error}")))?;
    let opened = Connection::open(with_options(url)).await;
    opened.map_err(|error| match error {
        SpinError::MysqlError(MysqlError::ConnectionFailed(text)) if text.ends_with("is not permitted") => {
            Failure::gone("the application may not connect there")
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
    /// Tells a new session how to behave.
    async fn begin(&self) -> Result<(), Failure> {
        for wish in session::greeting(LOCK_WAIT_S, ROWS_MAX + 1) {
            self.execute(&wish, &[]).await?;
        }
        let version = match self
            .query("SELECT VERSION()", &[])
            .await?
            .pop()
            .and_then(|mut row| row.pop())
        {
            Some(Value::Text(version)) => version,
            _ => String::new(),
        };
        for wish in session::wishes(&version, PATIENCE_MS) {
            // Not every server knows these.
            let _ = self.execute(&wish, &[]).await;
        }
        Ok(())
    }

    fn connection(&self) -> Result<&Connection, Failure> {
        self.connection
            .as_ref()
            .ok_or_else(|| Failure::gone("there is no connection"))
    }

    /// Runs a statement that returns nothing.
    pub(crate) async fn execute(&self, sql: &str, params: &[Value]) -> Result<(), Failure> {
        let connection = self.connection()?;
        let done = connection.execute(sql, bind(params)?);
        match within(PATIENCE_MS, done).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(self.doubt(failure(&error))),
            None => Err(self.late()),
        }
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
        match within(PATIENCE_MS, self.rows(sql, params)).await {
            Some(rows) => rows.map_err(|failure| self.doubt(failure)),
            None => Err(self.late()),
        }
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

    /// Commits. None when it is done; else what the server said, or none when nothing was heard of it.
    pub(crate) async fn commit(&self) -> Option<Option<(u16, String, String)>> {
        let Ok(connection) = self.connection() else {
            return Some(None);
        };
        match within(PATIENCE_MS, connection.execute("COMMIT", Vec::new())).await {
            Some(Ok(())) => None,
            Some(Err(SpinError::MysqlError(MysqlError::QueryFailed(text)))) => Some(read_said(&text)),
            Some(Err(_)) | None => Some(None),
        }
    }

    /// Undoes what is not committed.
    pub(crate) async fn roll_back(&self) {
        if self.whole.get() && self.execute("ROLLBACK", &[]).await.is_err() {
            self.whole.set(false);
        }
    }

    /// Says that something is open on it until [`Self::settle`].
    pub(crate) fn unsettle(&self) {
        self.whole.set(false);
    }

    /// Nothing is open on it any more.
    pub(crate) fn settle(&self) {
        self.whole.set(true);
    }

    fn doubt(&self, failure: Failure) -> Failure {
        if !failure.whole {
            self.whole.set(false);
        }
        failure
    }

    fn late(&self) -> Failure {
        self.whole.set(false);
        Failure::halfway(Error::Timeout(
            "the store did not answer in time; a write may or may not have been kept".to_owned(),
        ))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (connection, whole) = (self.connection.take(), self.whole.get());
        let finished = POOL.with(|pool| {
            pool.busy.set(pool.busy.get().saturating_sub(1));
            match (connection, whole) {
                (Some(connection), true) => pool.ready.borrow_mut().push(connection),
                (Some(connection), false) => pool.doubtful.borrow_mut().push(connection),
                (None, _) => {}
            }
            match pool.busy.get() {
                0 => mem::take(&mut *pool.doubtful.borrow_mut()),
                _ => Vec::new(),
            }
        });
        drop(finished);
    }
}

/// What an error means. Spin passes the words of its client library on, which has those of the server in them.
fn failure(error: &SpinError) -> Failure {
    let SpinError::MysqlError(error) = error else {
        return Failure::halfway(unavailable("a value cannot be read"));
    };
    match error {
        MysqlError::QueryFailed(text) => match read_said(text) {
            Some((code, state, message)) => judge(Said {
                code,
                state: &state,
                message: &message,
            }),
            None => Failure::gone("the connection was lost"),
        },
        MysqlError::BadParameter(text) => Failure::of_request(Error::Invalid(text.clone())),
        MysqlError::ConnectionFailed(_) => Failure::gone("it cannot be reached"),
        MysqlError::ValueConversionFailed(_) | MysqlError::Other(_) => Failure::gone("the answer cannot be read"),
    }
}

/// The number, the state and the words of the server in `Server(ServerError { code: …, message: "…", state: "…" })`.
fn read_said(text: &str) -> Option<(u16, String, String)> {
    let (_, said) = text.split_once("ServerError {")?;
    let (_, code) = said.split_once("code: ")?;
    let code = code
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?
        .parse()
        .ok()?;
    let quoted = |name: &str| {
        let (_, text) = said.split_once(&format!("{name}: \""))?;
        Some(unescaped(text))
    };
    Some((
        code,
        quoted("state").unwrap_or_default(),
        quoted("message").unwrap_or_default(),
    ))
}

/// A text in quotes, up to the closing one.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => plain.extend(letters.next()),
            letter => plain.push(letter),
        }
    }
    plain
}

fn bind(params: &[Value]) -> Result<Vec<ParameterValue>, Failure> {
    let bound = params.iter().enumerate().map(|(place, param)| {
        Ok(match param {
            Value::Null => ParameterValue::DbNull,
            Value::Integer(number) => ParameterValue::Int64(*number),
            Value::Real(number) if !number.is_finite() => {
                let reason = format!("parameter {place} is not a finite number");
                return Err(Failure::of_request(Error::Invalid(reason)));
            }
            Value::Real(number) => ParameterValue::Floating64(*number),
            Value::Text(text) => ParameterValue::Str(text.clone()),
            Value::Blob(bytes) => ParameterValue::Binary(bytes.clone()),
        })
    });
    bound.collect()
}

/// A value of a row. Spin calls a text binary when its column is compared byte by byte, as all of ours are, so bytes
/// that are text are taken for text.
fn read(value: DbValue) -> Result<Value, Error> {
    Ok(match value {
        DbValue::DbNull => Value::Null,
        DbValue::Boolean(truth) => Value::Integer(i64::from(truth)),
        DbValue::Int8(number) => Value::Integer(number.into()),
        DbValue::Int16(number) => Value::Integer(number.into()),
        DbValue::Int32(number) => Value::Integer(number.into()),
        DbValue::Int64(number) => Value::Integer(number),
        DbValue::Uint8(number) => Value::Integer(number.into()),
        DbValue::Uint16(number) => Value::Integer(number.into()),
        DbValue::Uint32(number) => Value::Integer(number.into()),
        DbValue::Uint64(number) => Value::Integer(
            i64::try_from(number)
                .map_err(|_| Error::Invalid("a number does not fit into 64 bits with a sign".to_owned()))?,
        ),
        DbValue::Floating32(number) => Value::Real(number.into()),
        DbValue::Floating64(number) => Value::Real(number),
        DbValue::Str(text) => Value::Text(text),
        DbValue::Binary(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::Text(text),
            Err(error) => Value::Blob(error.into_bytes()),
        },
        DbValue::Unsupported => return Err(Error::Invalid("a column has a type that Spin cannot carry".to_owned())),
    })
}
