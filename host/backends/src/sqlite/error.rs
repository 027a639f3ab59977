//! What SQLite's result codes mean to callers: decided once, here.
//!
//! Result codes: <https://sqlite.org/rescode.html>.

use std::path::{Path, PathBuf};

use rusqlite::ffi::{self, ErrorCode};

use contract::sql::Error;

/// Why a store could not be opened or brought to its schema.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path is that of a folder.
    #[error("{} is a folder, not a database file", .path.display())]
    Folder {
        /// The file of the store.
        path: PathBuf,
    },
    /// The folder of the file does not exist.
    #[error("the folder of {} does not exist", .path.display())]
    NoFolder {
        /// The file of the store.
        path: PathBuf,
    },
    /// The file holds something else, or is damaged.
    #[error("{} is not a database or is damaged: {reason}", .path.display())]
    Damaged {
        /// The file of the store.
        path: PathBuf,
        /// What SQLite found.
        reason: String,
    },
    /// Another process has the file locked.
    #[error("{} is locked by another process", .path.display())]
    Locked {
        /// The file of the store.
        path: PathBuf,
    },
    /// The file cannot be read or written: permission, space, a failing disk.
    #[error("{} cannot be opened: {reason}", .path.display())]
    Inaccessible {
        /// The file of the store.
        path: PathBuf,
        /// What SQLite or the operating system says.
        reason: String,
    },
    /// A newer binary has changed the schema.
    #[error("{} has schema version {found}, this binary knows versions up to {known}", .path.display())]
    Newer {
        /// The file of the store.
        path: PathBuf,
        /// The version of the schema in the file.
        found: i64,
        /// The newest version that this binary knows.
        known: i64,
    },
    /// The schema was made by other migrations than those of this binary.
    #[error("{} was made with another migration {migration} than that of this binary", .path.display())]
    Diverged {
        /// The file of the store.
        path: PathBuf,
        /// The first migration that differs.
        migration: String,
    },
    /// A migration failed; nothing of it was kept.
    #[error("{} cannot be migrated: {reason}", .path.display())]
    Migration {
        /// The file of the store.
        path: PathBuf,
        /// Which migration, and why.
        reason: String,
    },
    /// A thread of the store could not be started.
    #[error("a thread for {} cannot be started: {source}", .path.display())]
    Thread {
        /// The file of the store.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

impl OpenError {
    /// What a failure while opening means.
    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => {
                Self::Locked { path }
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged { path, reason },
            // The metadata tells apart what SQLite reports alike. The file itself is never opened to find out:
            // closing it would drop the locks that this process has on it.
            Some(ErrorCode::CannotOpen) if path.is_dir() => Self::Folder { path },
            Some(ErrorCode::CannotOpen) if path.parent().is_some_and(is_absent) => Self::NoFolder { path },
            _ => Self::Inaccessible { path, reason },
        }
    }
}

fn is_absent(folder: &Path) -> bool {
    !folder.as_os_str().is_empty() && matches!(folder.try_exists(), Ok(false))
}

/// What a failed statement means to its caller.
pub(super) fn from_statement(error: rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => from_code(code, message),
        rusqlite::Error::SqlInputError { error: code, msg, .. } => from_code(code, Some(msg)),
        rusqlite::Error::MultipleStatement => Error::Invalid("only one statement at a time is allowed".to_owned()),
        other => Error::Invalid(other.to_string()),
    }
}

fn from_code(code: ffi::Error, message: Option<String>) -> Error {
    let text = message.unwrap_or_else(|| ffi::code_to_str(code.extended_code).to_owned());
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            let columns = text.strip_prefix("UNIQUE constraint failed: ").unwrap_or(&text);
            return Error::UniqueViolation(columns.to_owned());
        }
        _ => {}
    }
    match code.code {
        ErrorCode::OperationInterrupted => Error::Timeout("the statement ran past its deadline".to_owned()),
        ErrorCode::OutOfMemory => Error::Overloaded("the statement needs more memory than allowed".to_owned()),
        ErrorCode::AuthorizationForStatementDenied => Error::Invalid(format!("the statement is not allowed: {text}")),
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::SystemIoFailure
        | ErrorCode::ReadOnly
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::SchemaChanged
        | ErrorCode::PermissionDenied
        | ErrorCode::OperationAborted
        | ErrorCode::InternalMalfunction => Error::Unavailable(format!("the store cannot be used for now: {text}")),
        _ => Error::Invalid(text),
    }
}

/// What a failure of the writer's own statements means, whatever its code: none of the callers is at fault.
pub(super) fn from_transaction(error: rusqlite::Error) -> Error {
    match from_statement(error) {
        kept @ (Error::Unavailable(_) | Error::Overloaded(_)) => kept,
        other => Error::Unavailable(format!("the store cannot be used for now: {other}")),
    }
}
