//! Brings the schema of a file to the newest version that this binary knows, before the store is opened.
//!
//! Never goes back: a file from a newer binary is refused.

use std::path::Path;

use refinery::error::Kind;
use rusqlite::{Connection, OptionalExtension};

use super::connection;
use super::error::OpenError;
use config::SqliteSettings;

/// The table in which the applied migrations are written down; guests may not write it.
pub(super) const HISTORY: &str = "refinery_schema_history";

mod embedded {
    refinery::embed_migrations!("../../migrations/sqlite");
}

/// Applies what is missing, all or nothing, and gives the names of what was applied, oldest first.
pub fn migrate(path: &Path, settings: &SqliteSettings) -> Result<Vec<String>, OpenError> {
    let mut connection = connection::open(path, settings)?;
    let runner = embedded::migrations::runner().set_grouped(true);
    let known = runner
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0);
    let found = version(&connection).map_err(|error| OpenError::from_sqlite(path, &error))?;
    if let Some(found) = found.filter(|found| *found > known) {
        return Err(OpenError::Newer {
            path: path.to_path_buf(),
            found,
            known,
        });
    }
    let report = runner
        .run(&mut connection)
        .map_err(|error| from_runner(path, error.kind()))?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// The newest applied version, where any was.
fn version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let exists = connection
        .query_row(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
            [HISTORY],
            |_| Ok(()),
        )
        .optional()?;
    if exists.is_none() {
        return Ok(None);
    }
    connection.query_row(&format!("SELECT MAX(version) FROM {HISTORY}"), [], |row| row.get(0))
}

fn from_runner(path: &Path, kind: &Kind) -> OpenError {
    match kind {
        Kind::DivergentVersion(applied, _) | Kind::MissingVersion(applied) => OpenError::Diverged {
            path: path.to_path_buf(),
            migration: applied.to_string(),
        },
        Kind::Connection(_, cause) => match cause.downcast_ref::<rusqlite::Error>() {
            Some(error) if error.sqlite_error_code() != Some(rusqlite::ErrorCode::Unknown) => {
                OpenError::from_sqlite(path, error)
            }
            _ => OpenError::Migration {
                path: path.to_path_buf(),
                reason: kind.to_string(),
            },
        },
        _ => OpenError::Migration {
            path: path.to_path_buf(),
            reason: kind.to_string(),
        },
    }
}
