//! What the errors of a server mean to callers: decided once, here.
//!
//! The numbers are those of MySQL (<https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>),
//! MariaDB (<https://mariadb.com/kb/en/mariadb-error-code-reference/>) and TiDB
//! (<https://docs.pingcap.com/tidb/stable/error-codes>). No message names a value of a row or of a parameter, nor a
//! password.

use mysql_async::ServerError;

use crate::pool::Refusal;
use crate::sql::Error;

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

/// Why a query or a batch came to nothing, and what may be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What its caller is told when it is not repeated.
    pub(super) error: Error,
    /// Why it may be repeated at once, in a word for the metrics.
    pub(super) again: Option<&'static str>,
    /// Whether the connection can be used again.
    pub(super) whole: bool,
}

/// The word for a connection that was lost before anything was kept.
pub(super) const GONE: &str = "gone";

impl Failure {
    /// The request cannot be served; the connection can serve others.
    pub(super) fn of_request(error: Error) -> Self {
        Self {
            error,
            again: None,
            whole: true,
        }
    }

    /// The answer is not read to its end.
    pub(super) fn halfway(error: Error) -> Self {
        Self {
            whole: false,
            ..Self::of_request(error)
        }
    }

    /// It is not known whether the transaction was kept.
    pub(super) fn unknown(reason: &str) -> Self {
        Self::halfway(Error::Timeout(format!(
            "{reason} while committing; the write may or may not have been kept"
        )))
    }
}

/// What a failure means before a COMMIT was sent: nothing was kept.
impl From<mysql_async::Error> for Failure {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(error) => judge(&error),
            other => Self {
                error: unavailable(&other.to_string()),
                again: Some(GONE),
                whole: false,
            },
        }
    }
}

/// What a failure of the COMMIT itself means.
pub(super) fn from_commit(error: &mysql_async::Error) -> Failure {
    let mysql_async::Error::Server(error) = error else {
        return Failure::unknown("the connection was lost");
    };
    let failure = judge(error);
    // A server that is read-only refuses to commit; a conflict is found while committing. Of anything else it is not
    // known how far it came.
    let refused = matches!(error.code, 1290 | 1792 | 1836);
    match failure.again.is_some() || refused {
        true => failure,
        false => Failure::unknown(&format!("the server failed with error {}", error.code)),
    }
}

/// What an error of the server means.
fn judge(error: &ServerError) -> Failure {
    let text = format!("error {}", error.code);
    let again = |reason| Failure {
        error: unavailable(&text),
        again: Some(reason),
        whole: true,
    };
    match error.code {
        1062 | 1586 => Failure::of_request(Error::UniqueViolation(key(&error.message))),
        1213 | 3101 => again("deadlock"),
        1205 => again("lock_wait"),
        // Write conflicts of TiDB, found late or early.
        8002 | 8005 | 8022 | 8028 | 9007 => again("conflict"),
        // A node of Galera that is not, or not yet, part of its cluster.
        1047 => again("cluster"),
        // A prepared statement that the server, or another one behind the same address, does not have any more.
        1243 | 1615 => Failure {
            whole: false,
            ..again("reprepare")
        },
        1317 => Failure::of_request(unavailable("the statement was stopped by the server")),
        1969 | 3024 => Failure::of_request(Error::Timeout("the statement ran past its time".to_owned())),
        // A server that may only be read: after a change of roles another one answers to its name.
        1290 | 1792 | 1836 => Failure::halfway(unavailable("the server may only be read")),
        1021 | 1026 | 1114 => Failure::of_request(unavailable("the disk of the server is full")),
        1030
        | 1034
        | 1037
        | 1038
        | 1041
        | 1135
        | 1180
        | 1181
        | 1203
        | 1206
        | 1226
        | 1015
        | 1016
        | 1194
        | 1195
        | 3100
        | 9001..=9006 => Failure::halfway(unavailable(&text)),
        _ => by_state(error),
    }
}

/// An error without a meaning of its own here: by the class of its SQL state.
fn by_state(error: &ServerError) -> Failure {
    let text = format!("error {}", error.code);
    match error.state.get(..2) {
        Some("08") => Failure::halfway(unavailable(&text)),
        Some("70") => Failure::halfway(unavailable("the server stops")),
        Some("40") => Failure {
            error: unavailable(&text),
            again: Some("conflict"),
            whole: true,
        },
        _ if matches!(error.code, 1053 | 1077 | 1079 | 1927) => Failure::halfway(unavailable("the server stops")),
        _ => Failure::of_request(Error::Invalid(told(error))),
    }
}

/// What is said of a wrong statement: the server's words where they name no value.
fn told(error: &ServerError) -> String {
    match error.code {
        1048 | 1052 | 1054 | 1055 | 1066 | 1109 | 1110 | 1111 | 1136 | 1140 | 1146 | 1222 | 1241 | 1242 | 1264
        | 1305 | 1364 | 1406 | 3819 | 4025 => error.message.clone(),
        1064 | 1149 => "the statement has a syntax error".to_owned(),
        _ => format!(
            "the server refuses the statement with error {} ({})",
            error.code, error.state
        ),
    }
}

/// The name of the key in `Duplicate entry '…' for key '…'`; the entry itself is nobody's business.
fn key(message: &str) -> String {
    let (_, key) = message.rsplit_once(" for key ").unwrap_or_default();
    key.trim_matches('\'').to_owned()
}

fn unavailable(reason: &str) -> Error {
    Error::Unavailable(format!("the store cannot be used for now: {reason}"))
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        Self::halfway(match refusal {
            Refusal::Unreachable(_) => unavailable(&text),
            Refusal::Exhausted(_) => Error::Overloaded(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, state: &str, message: &str) -> ServerError {
        ServerError {
            code,
            message: message.to_owned(),
            state: state.to_owned(),
        }
    }

    #[test]
    fn a_unique_violation_names_the_key_and_not_the_entry() {
        let violation = judge(&error(
            1062,
            "23000",
            "Duplicate entry 'it's for key 'x'' for key 't.name'",
        ));
        assert_eq!(violation.error, Error::UniqueViolation("t.name".to_owned()));
    }

    #[test]
    fn conflicts_may_be_repeated_also_when_the_commit_finds_them() {
        for code in [1213, 1205, 9007] {
            assert!(judge(&error(code, "HY000", "")).again.is_some());
            let failure = from_commit(&mysql_async::Error::Server(error(code, "HY000", "")));
            assert!(failure.again.is_some() && matches!(failure.error, Error::Unavailable(_)));
        }
    }

    #[test]
    fn a_commit_that_fails_otherwise_may_have_been_kept() {
        for code in [1053, 1180, 1317, 1021] {
            let failure = from_commit(&mysql_async::Error::Server(error(code, "HY000", "")));
            assert!(
                failure.again.is_none() && !failure.whole && matches!(failure.error, Error::Timeout(_)),
                "{code}"
            );
        }
    }

    #[test]
    fn a_commit_whose_connection_is_lost_may_have_been_kept_and_is_not_repeated() {
        let failure = from_commit(&mysql_async::DriverError::ConnectionClosed.into());
        assert!(failure.again.is_none() && !failure.whole && matches!(failure.error, Error::Timeout(_)));
    }

    #[test]
    fn what_the_statement_says_is_not_repeated_to_the_log() {
        let wrong = judge(&error(1064, "42000", "You have an error near 'secret'"));
        assert_eq!(
            wrong.error,
            Error::Invalid("the statement has a syntax error".to_owned())
        );
        let wrong = judge(&error(1366, "22007", "Incorrect integer value: 'secret'"));
        assert!(matches!(wrong.error, Error::Invalid(text) if !text.contains("secret")));
    }
}
