//! One connection to a server: how it is made, what its session is told, and how it is closed.
//!
//! Every session is told the same, once: times in UTC, texts in UTF-8 compared by their bytes, the text of
//! statements read as SQLite reads it (no backslashes, `"` for names, `||` joins texts), bounds on what a statement
//! may return and how long it may run or wait, and READ COMMITTED. Under that level every statement sees what was
//! committed before it began, so the batches of the components, which lock the row that orders them first (the
//! head of a conversation or of an inbox) and read after that, read the newest state, as behind SQLite's only writer.
//! (What ends while a statement looks is another matter: MariaDB may show a later transaction without a former that it
//! had waited for. Who reads pages by position is told so by the contract.)
//! The default level of MySQL, REPEATABLE READ, would show them the state before the lock was theirs, and lock gaps
//! between rows on top.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use config::MysqlSettings;
use dialect::session;

use super::error::OpenError;
use crate::pool::Connect;

/// How long an unused connection may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// When the operating system begins to ask whether a silent server is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What a packet may have by the protocol; how much of that the server takes is asked for.
const PACKET_BYTES: usize = 1 << 30;

/// Where a server listens unless it is said.
const PORT: u16 = 3306;

/// Makes connections to one server.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    opts: Opts,
    greeting: String,
    time_max_ms: u64,
    timeout: Duration,
}

/// A connection whose session is told what it must know.
#[derive(Debug)]
pub(super) struct Link {
    /// None only while it is dropped.
    conn: Option<Conn>,
    /// The longest text that the server takes, in bytes.
    pub(super) text_max: usize,
    /// Whether the server still prepares statements for it.
    pub(super) prepares: bool,
}

impl Dialer {
    /// Reads the URL.
    pub(super) fn new(settings: &MysqlSettings) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError::Url { reason };
        let opts = Opts::from_url(&settings.url).map_err(|error| wrong(error.to_string()))?;
        if opts.db_name().is_none_or(str::is_empty) {
            return Err(wrong("it names no database".to_owned()));
        }
        let opts = OptsBuilder::from_opts(opts)
            .client_found_rows(true)
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEPALIVE))
            .max_allowed_packet(Some(PACKET_BYTES))
            .stmt_cache_size(settings.statements_max)
            .wait_timeout(Some(0));
        Ok(Self {
            opts: opts.into(),
            greeting: greeting(settings),
            time_max_ms: settings.query_timeout_ms.max(1),
            timeout: Duration::from_millis(settings.pool.connect_timeout_ms.max(1)),
        })
    }

    /// The same for another server, `host` or `host:port`: its users and databases are the same.
    pub(super) fn to(&self, address: &str) -> Result<Self, OpenError> {
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (address, Some(PORT)),
        };
        let Some(port) = port.filter(|_| !host.is_empty() && !host.contains(['/', '@'])) else {
            // Somebody may have written a whole URL there, with its password.
            return Err(OpenError::Url {
                reason: "a replica is a host, or a host and a port".to_owned(),
            });
        };
        Ok(Self {
            opts: self.opts().ip_or_hostname(host).tcp_port(port).into(),
            ..self.clone()
        })
    }

    /// The host and port, for messages.
    pub(super) fn server(&self) -> String {
        match self.opts.socket() {
            Some(socket) => socket.to_owned(),
            None => format!("{}:{}", self.opts.ip_or_hostname(), self.opts.tcp_port()),
        }
    }

    /// The name of the database.
    pub(super) fn database(&self) -> &str {
        self.opts.db_name().unwrap_or_default()
    }

    /// What a connection of another kind to the same server begins with.
    pub(super) fn opts(&self) -> OptsBuilder {
        OptsBuilder::from_opts(self.opts.clone())
    }

    /// Makes a connection within the time that one may take.
    pub(super) async fn dial(&self) -> Result<Link, OpenError> {
        within(self, self.link()).await
    }

    /// Makes a connection to the server without a database, as it is.
    pub(super) async fn dial_server(&self) -> Result<Conn, OpenError> {
        within(self, Conn::new(self.opts().db_name(None::<String>))).await
    }

    async fn link(&self) -> mysql_async::Result<Link> {
        let mut conn = Conn::new(self.opts.clone()).await?;
        let found: Option<(usize, String)> = {
            conn.query_drop(self.greeting.as_str()).await?;
            conn.query_first("SELECT @@max_allowed_packet, VERSION()").await?
        };
        let (text_max, version) = found.unwrap_or_default();
        for wish in session::wishes(&version, self.time_max_ms) {
            match conn.query_drop(wish).await {
                // Not every server knows of everything.
                Ok(()) | Err(mysql_async::Error::Server(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Link {
            conn: Some(conn),
            text_max,
            prepares: true,
        })
    }
}

async fn within<T>(dialer: &Dialer, made: impl Future<Output = mysql_async::Result<T>>) -> Result<T, OpenError> {
    match tokio::time::timeout(dialer.timeout, made).await {
        Ok(made) => made.map_err(|error| OpenError::from_connecting(&dialer.server(), dialer.database(), &error)),
        Err(_) => Err(OpenError::Unreachable {
            server: dialer.server(),
            reason: format!("no connection within {:?}", dialer.timeout),
        }),
    }
}

/// What every server must understand, or it is none for this store.
fn greeting(settings: &MysqlSettings) -> String {
    // One row more than may be returned, so that too many are noticed and far too many never sent.
    session::greeting(settings.lock_wait_s, settings.rows_max.saturating_add(1)).join("; ")
}

impl Link {
    /// The connection; none when it is being dropped.
    pub(super) fn conn(&mut self) -> mysql_async::Result<&mut Conn> {
        self.conn
            .as_mut()
            .ok_or_else(|| mysql_async::DriverError::ConnectionClosed.into())
    }
}

impl Drop for Link {
    /// Says goodbye where that is possible, for a bounded time: left to itself a connection would wait without end
    /// for the rest of an answer from a server that hangs.
    fn drop(&mut self) {
        let Some(conn) = self.conn.take().filter(|conn| !conn.is_disconnected()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(FAREWELL, conn.disconnect()));
        }
    }
}

impl Connect for Dialer {
    type Connection = Link;

    async fn connect(&self) -> Result<Link, String> {
        self.dial().await.map_err(|error| error.to_string())
    }

    async fn check(&self, link: &mut Link) -> Result<(), String> {
        let conn = link.conn().map_err(|error| error.to_string())?;
        conn.ping().await.map_err(|error| error.to_string())
    }
}
