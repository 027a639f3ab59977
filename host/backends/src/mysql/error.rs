//! What is wrong with a connection or a server. What the server's own errors mean is in [`dialect::failure`]. No
//! message names a password.

use dialect::failure::{Failure, Said, judge, of_commit, unavailable};
use mysql_async::ServerError;

use crate::pool::Refusal;
use contract::sql::Error;

/// Why a store could not be reached or brought to its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL is wrong.
    #[error("the url of the store is wrong: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there, or not as a server of MySQL does.
    #[error("the store at {server} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The server does not let this user in.
    #[error("the store at {server} refuses the user: {reason}")]
    Denied {
        /// Host and port.
        server: String,
        /// What the server says.
        reason: String,
    },
    /// The server has no such database.
    #[error("the store at {server} has no database {database}; mpim migrate makes it where the user may")]
    NoDatabase {
        /// Host and port.
        server: String,
        /// The name of the database.
        database: String,
    },
    /// The schema lacks migrations of this binary.
    #[error("database {database} has schema version {found}, this binary needs {known}: run mpim migrate")]
    Older {
        /// The name of the database.
        database: String,
        /// The version of its schema; 0 when it has none.
        found: i64,
        /// The newest version that this binary knows.
        known: i64,
    },
    /// A newer binary has changed the schema.
    #[error("database {database} has schema version {found}, this binary knows versions up to {known}")]
    Newer {
        /// The name of the database.
        database: String,
        /// The version of its schema.
        found: i64,
        /// The newest version that this binary knows.
        known: i64,
    },
    /// The schema was made by other migrations than those of this binary.
    #[error("database {database} was made with another migration {migration} than that of this binary")]
    Diverged {
        /// The name of the database.
        database: String,
        /// The first migration that differs.
        migration: String,
    },
    /// A migration failed. The server keeps what it did before: changes of a schema are not undone.
    #[error("database {database} cannot be migrated: {reason}")]
    Migration {
        /// The name of the database.
        database: String,
        /// Which migration, and why.
        reason: String,
    },
}

impl OpenError {
    /// What a failure while connecting means.
    pub(super) fn from_connecting(server: &str, database: &str, error: &mysql_async::Error) -> Self {
        let server = server.to_owned();
        match error {
            mysql_async::Error::Server(error) => match error.code {
                // Access denied, for a reason or another; the message says whether a password was given, not which.
                1044 | 1045 | 1130 | 1227 | 1251 | 1396 | 1524 | 1698 | 1862 | 3118 | 4151 => Self::Denied {
                    server,
                    reason: error.message.clone(),
                },
                1049 => Self::NoDatabase {
                    server,
                    database: database.to_owned(),
                },
                _ => Self::Unreachable {
                    server,
                    reason: format!("error {}: {}", error.code, error.message),
                },
            },
            mysql_async::Error::Url(error) => Self::Url {
                reason: error.to_string(),
            },
            other => Self::Unreachable {
                server,
                reason: other.to_string(),
            },
        }
    }
}

/// What a failure means before a COMMIT was sent: nothing was kept.
pub(super) fn failure(error: mysql_async::Error) -> Failure {
    match error {
        mysql_async::Error::Server(error) => judge(said(&error)),
        other => Failure::gone(&other.to_string()),
    }
}

/// What a failure of the COMMIT itself means.
pub(super) fn from_commit(error: &mysql_async::Error) -> Failure {
    match error {
        mysql_async::Error::Server(error) => of_commit(said(error)),
        _ => Failure::unknown("the connection was lost"),
    }
}

fn said(error: &ServerError) -> Said<'_> {
    Said {
        code: error.code,
        state: &error.state,
        message: &error.message,
    }
}

/// What it means that there is no connection to be had.
pub(super) fn refusal(refusal: Refusal) -> Failure {
    let text = refusal.to_string();
    Failure::halfway(match refusal {
        Refusal::Unreachable(_) => unavailable(&text),
        Refusal::Exhausted(_) => Error::Overloaded(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_whose_connection_is_lost_may_have_been_kept_and_is_not_repeated() {
        let failure = from_commit(&mysql_async::DriverError::ConnectionClosed.into());
        assert!(failure.again.is_none() && !failure.whole && matches!(failure.error, Error::Timeout(_)));
    }
}
