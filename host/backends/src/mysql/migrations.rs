//! Brings the schema of a database to the newest version that this binary knows, before the store is opened.
//!
//! Never goes back: a database from a newer binary is refused. A server does not undo changes of its schema: a
//! migration that fails halfway leaves what it did, is not written down as applied, and somebody must look. One node
//! migrates at a time, under a lock by name that the server drops with the connection. (In a Galera cluster such a
//! lock holds on one node: point all who migrate at the same one.)

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Pool};
use refinery::error::Kind;
use refinery::{Error, Runner};

use super::error::OpenError;
use super::link::{Dialer, Link};
use config::MysqlSettings;
use dialect::gate::HISTORY;

/// How long a node waits for another one that migrates.
const TURN_S: u32 = 600;

/// The name of the lock. A database has its own, whatever it is called: a name of a lock has 64 characters at most, so that
/// of a digest as many are taken as fit. MySQL has no MD5 any more.
const LOCK: &str = "CONCAT('mpim.migrate.', LEFT(SHA2(DATABASE(), 256), 48))";

/// How long refinery's own connections may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

mod embedded {
    refinery::embed_migrations!("../../migrations/mysql");
}

/// Applies what is missing, each migration by itself, and gives the names of what was applied, oldest first. Makes
/// the database where it is absent and the user may. Several nodes may call this at once.
pub async fn migrate(settings: &MysqlSettings) -> Result<Vec<String>, OpenError> {
    let dialer = Dialer::new(settings)?;
    let mut link = match dialer.dial().await {
        Err(OpenError::NoDatabase { .. }) => {
            make_database(&dialer).await?;
            dialer.dial().await?
        }
        linked => linked?,
    };
    take_turn(&dialer, &mut link).await?;
    let applied = apply(&dialer, &mut link).await;
    // The lock goes with the connection; this is only sooner.
    let _ = run(&mut link, &format!("DO RELEASE_LOCK({LOCK})")).await;
    applied
}

/// Whether the schema is the one that this binary knows.
pub async fn check(settings: &MysqlSettings) -> Result<(), OpenError> {
    let dialer = Dialer::new(settings)?;
    let mut link = dialer.dial().await?;
    let (found, known) = (version(&dialer, &mut link).await?.unwrap_or(0), newest());
    let database = dialer.database().to_owned();
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(OpenError::Older { database, found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(OpenError::Newer { database, found, known }),
    }
}

fn runner() -> Runner {
    embedded::migrations::runner().set_grouped(false)
}

/// The newest version that this binary knows.
fn newest() -> i64 {
    let versions = runner()
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max();
    versions.unwrap_or(0)
}

async fn make_database(dialer: &Dialer) -> Result<(), OpenError> {
    let mut conn: Conn = dialer.dial_server().await?;
    let name = dialer.database().replace('`', "``");
    let sql = format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    let made = conn.query_drop(sql).await.map_err(|error| failed(dialer, &error));
    let _ = conn.disconnect().await;
    made
}

async fn take_turn(dialer: &Dialer, link: &mut Link) -> Result<(), OpenError> {
    // The bound on the time of a statement would end the wait; each product has its own name for it.
    for unbounded in [
        "SET SESSION max_statement_time = 0",
        "SET SESSION max_execution_time = 0",
    ] {
        let _ = run(link, unbounded).await;
    }
    let sql = format!("SELECT GET_LOCK({LOCK}, {TURN_S})");
    let conn = link.conn().map_err(|error| failed(dialer, &error))?;
    let turn: Option<Option<i64>> = conn.query_first(sql).await.map_err(|error| failed(dialer, &error))?;
    match turn.flatten() {
        Some(1) => Ok(()),
        _ => Err(OpenError::Migration {
            database: dialer.database().to_owned(),
            reason: format!("another node has been migrating it for {TURN_S} s"),
        }),
    }
}

async fn apply(dialer: &Dialer, link: &mut Link) -> Result<Vec<String>, OpenError> {
    let known = newest();
    if let Some(found) = version(dialer, link).await?.filter(|found| *found > known) {
        let database = dialer.database().to_owned();
        return Err(OpenError::Newer { database, found, known });
    }
    // A pool of its own, since refinery takes nothing else. Its sessions are not told what those of the store are:
    // the migrations are text that SQLite need not understand.
    let mut pool = Pool::new(dialer.opts());
    let report = runner().run_async(&mut pool).await;
    let _ = tokio::time::timeout(FAREWELL, pool.disconnect()).await;
    match report {
        Ok(report) => Ok(report.applied_migrations().iter().map(ToString::to_string).collect()),
        Err(error) => Err(from_runner(dialer, &error)),
    }
}

/// The newest applied version, where any was.
async fn version(dialer: &Dialer, link: &mut Link) -> Result<Option<i64>, OpenError> {
    let conn = link.conn().map_err(|error| failed(dialer, &error))?;
    match conn.query_first(format!("SELECT MAX(version) FROM {HISTORY}")).await {
        Ok(found) => Ok(Option::<Option<i64>>::flatten(found)),
        // No such table.
        Err(mysql_async::Error::Server(error)) if error.code == 1146 => Ok(None),
        Err(error) => Err(failed(dialer, &error)),
    }
}

async fn run(link: &mut Link, sql: &str) -> mysql_async::Result<()> {
    link.conn()?.query_drop(sql).await
}

fn failed(dialer: &Dialer, error: &mysql_async::Error) -> OpenError {
    match error {
        mysql_async::Error::Io(_) => OpenError::from_connecting(&dialer.server(), dialer.database(), error),
        other => OpenError::Migration {
            database: dialer.database().to_owned(),
            reason: other.to_string(),
        },
    }
}

fn from_runner(dialer: &Dialer, error: &Error) -> OpenError {
    let database = dialer.database().to_owned();
    match error.kind() {
        Kind::DivergentVersion(applied, _) | Kind::MissingVersion(applied) => OpenError::Diverged {
            database,
            migration: applied.to_string(),
        },
        Kind::Connection(step, cause) => OpenError::Migration {
            database,
            reason: format!("{step}: {cause}"),
        },
        other => OpenError::Migration {
            database,
            reason: other.to_string(),
        },
    }
}
