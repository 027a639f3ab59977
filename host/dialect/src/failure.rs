//! What the errors of a server mean to callers: decided once, here.
//!
//! The numbers are those of MySQL (<https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>),
//! MariaDB (<https://mariadb.com/kb/en/mariadb-error-code-reference/>) and TiDB
//! (<https://docs.pingcap.com/tidb/stable/error-codes>). No message names a value of a row or of a parameter.

use contract::sql::Error;

/// An error as a server says it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Its number.
    pub code: u16,
    /// Its SQL state, of five letters.
    pub state: &'a str,
    /// Its words.
    pub message: &'a str,
}

/// Why a query or a batch came to nothing, and what may be done about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// What its caller is told when it is not repeated.
    pub error: Error,
    /// Why it may be repeated at once, in a word for the metrics.
    pub again: Option<&'static str>,
    /// Whether the connection can be used again.
    pub whole: bool,
}

/// The word for a connection that was lost before anything was kept.
pub const GONE: &str = "gone";

impl Failure {
    /// The connection was lost before a COMMIT was sent: nothing was kept.
    pub fn gone(reason: &str) -> Self {
        Self {
            error: unavailable(reason),
            again: Some(GONE),
            whole: false,
        }
    }

    /// The request cannot be served; the connection can serve others.
    pub fn of_request(error: Error) -> Self {
        Self {
            error,
            again: None,
            whole: true,
        }
    }

    /// The answer is not read to its end.
    pub fn halfway(error: Error) -> Self {
        Self {
            whole: false,
            ..Self::of_request(error)
        }
    }

    /// It is not known whether the transaction was kept.
    pub fn unknown(reason: &str) -> Self {
        Self::halfway(Error::Timeout(format!(
            "{reason} while committing; the write may or may not have been kept"
        )))
    }
}

/// What an error of the server means that answers the COMMIT itself.
pub fn of_commit(said: Said<'_>) -> Failure {
    let failure = judge(said);
    // A server that is read-only refuses to commit; a conflict is found while committing. Of anything else it is not
    // known how far it came.
    let refused = matches!(said.code, 1290 | 1792 | 1836);
    match failure.again.is_some() || refused {
        true => failure,
        false => Failure::unknown(&format!("the server failed with error {}", said.code)),
    }
}

/// What an error of the server means that does not answer a COMMIT.
pub fn judge(error: Said<'_>) -> Failure {
    let text = format!("error {}", error.code);
    let again = |reason| Failure {
        error: unavailable(&text),
        again: Some(reason),
        whole: true,
    };
    match error.code {
        1062 | 1586 => Failure::of_request(Error::UniqueViolation(key(error.message))),
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
fn by_state(error: Said<'_>) -> Failure {
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
fn told(error: Said<'_>) -> String {
    match error.code {
        1048 | 1052 | 1054 | 1055 | 1066 | 1109 | 1110 | 1111 | 1136 | 1140 | 1146 | 1222 | 1241 | 1242 | 1264
        | 1305 | 1364 | 1406 | 3819 | 4025 => error.message.to_owned(),
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

/// The store cannot be used for now.
pub fn unavailable(reason: &str) -> Error {
    Error::Unavailable(format!("the store cannot be used for now: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, state: &'static str, message: &'static str) -> Said<'static> {
        Said { code, state, message }
    }

    #[test]
    fn a_unique_violation_names_the_key_and_not_the_entry() {
        let violation = judge(error(
            1062,
            "23000",
            "Duplicate entry 'it's for key 'x'' for key 't.name'",
        ));
        assert_eq!(violation.error, Error::UniqueViolation("t.name".to_owned()));
    }

    #[test]
    fn conflicts_may_be_repeated_also_when_the_commit_finds_them() {
        for code in [1213, 1205, 9007] {
            assert!(judge(error(code, "HY000", "")).again.is_some());
            let failure = of_commit(error(code, "HY000", ""));
            assert!(failure.again.is_some() && matches!(failure.error, Error::Unavailable(_)));
        }
    }

    #[test]
    fn a_commit_that_fails_otherwise_may_have_been_kept() {
        for code in [1053, 1180, 1317, 1021] {
            let failure = of_commit(error(code, "HY000", ""));
            assert!(
                failure.again.is_none() && !failure.whole && matches!(failure.error, Error::Timeout(_)),
                "{code}"
            );
        }
    }

    #[test]
    fn what_the_statement_says_is_not_repeated_to_the_log() {
        let wrong = judge(error(1064, "42000", "You have an error near 'secret'"));
        assert_eq!(
            wrong.error,
            Error::Invalid("the statement has a syntax error".to_owned())
        );
        let wrong = judge(error(1366, "22007", "Incorrect integer value: 'secret'"));
        assert!(matches!(wrong.error, Error::Invalid(text) if !text.contains("secret")));
    }
}
