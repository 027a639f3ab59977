//! How a connection to the file is opened: the pragmas that make the store durable and bounded.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::error::OpenError;
use config::{SqliteSettings, SqliteSynchronous};

/// The write-ahead log is cut down to this many bytes when it starts anew.
const LOG_KEPT_BYTES: i64 = 64 * 1024 * 1024;

/// Opens the file for reading and writing, and makes it when it is absent.
pub(super) fn open(path: &Path, settings: &SqliteSettings) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| OpenError::from_sqlite(path, &error))?;
    prepare(&connection, settings).map_err(|error| OpenError::from_sqlite(path, &error))?;
    Ok(connection)
}

/// Opens the file for reading only.
pub(super) fn open_reader(path: &Path, settings: &SqliteSettings) -> Result<Connection, OpenError> {
    let connection = open(path, settings)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|error| OpenError::from_sqlite(path, &error))?;
    Ok(connection)
}

fn prepare(connection: &Connection, settings: &SqliteSettings) -> rusqlite::Result<()> {
    connection.busy_timeout(settings.busy_timeout())?;
    connection.set_prepared_statement_cache_capacity(settings.statements_kept);
    // Plans do not depend on bound values; without this, statements such as those with `LIMIT ?` are parsed again
    // whenever a value is bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let largest = i32::try_from(settings.result_bytes_max).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, largest)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let synchronous = match settings.synchronous {
        SqliteSynchronous::Full => "full",
        SqliteSynchronous::Normal => "normal",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // Where a plain sync leaves data in the cache of the disk, ask for more; elsewhere this does nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // Negative: KiB rather than pages.
    connection.pragma_update(None, "cache_size", -i64::from(settings.cache_kib))?;
    connection.pragma_update(None, "wal_autocheckpoint", settings.checkpoint_pages)?;
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT_BYTES)?;
    connection.pragma_update(
        None,
        "hard_heap_limit",
        i64::from(settings.memory_max_mib) * 1024 * 1024,
    )?;
    Ok(())
}
