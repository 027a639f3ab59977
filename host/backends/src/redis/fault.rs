//! What a failure of Redis means to a caller, decided once.
//!
//! What the client library or the server says is passed on: neither repeats a password. The URL is never part of it.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use contract::Fault;
use contract::cache::Refusal;

/// Whether this failure makes the connection itself doubtful.
pub(super) fn is_of_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.is_io_error()
}

/// Whether the server does not know a script.
pub(super) fn is_missing_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// The fault that a failure is; `server` says whose server, and where.
pub(super) fn of(error: &RedisError, server: &str) -> Fault {
    if error.is_timeout() {
        return Fault::Timeout(format!("{server}: no answer in time"));
    }
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        // A script meets the bound of memory in the middle: the code is then in its detail.
        _ if error.code() == Some("OOM") || detail.contains("OOM command not allowed") => {
            Fault::Overloaded(format!("{server}: its memory is full"))
        }
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => refused(error, server),
        ErrorKind::Server(ServerErrorKind::BusyLoading) => unavailable(server, "it is loading its data"),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => unavailable(server, "it is a replica and takes no writes"),
        ErrorKind::Server(ServerErrorKind::MasterDown) => unavailable(server, "its master is down"),
        ErrorKind::Server(ServerErrorKind::ClusterDown) => unavailable(server, "the cluster is down"),
        ErrorKind::Server(ServerErrorKind::TryAgain) => unavailable(server, "the key is on its way to another node"),
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => unavailable(
            server,
            "the key is on another node: is this a cluster and not said to be one",
        ),
        ErrorKind::Extension => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => refused(error, server),
            Some("WRONGTYPE") => Refusal::OtherKind.into(),
            code => unavailable(server, &format!("{} {detail}", code.unwrap_or("error"))),
        },
        _ => unavailable(server, &error.to_string()),
    }
}

fn refused(error: &RedisError, server: &str) -> Fault {
    unavailable(server, &format!("user or password refused: {error}"))
}

fn unavailable(server: &str, what: &str) -> Fault {
    Fault::Unavailable(format!("{server}: {}", what.trim_end()))
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn fault(line: &str) -> Fault {
        let value = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        of(&value.extract_error().unwrap_err(), "redis")
    }

    #[test]
    fn each_answer_of_a_server_has_its_fault() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "READONLY You can't write against a read only replica.",
            "CLUSTERDOWN The cluster is down",
            "MASTERDOWN Link with MASTER is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM this user has no permissions to run the 'get' command",
            "MISCONF Redis is configured to save RDB snapshots",
            "ERR unknown command",
        ] {
            assert!(matches!(fault(line), Fault::Unavailable(_)), "{line}");
        }
        let wrong = fault("WRONGTYPE Operation against a key holding the wrong kind of value");
        assert_eq!(wrong, Refusal::OtherKind.into());
        let full = fault("OOM command not allowed when used memory > 'maxmemory'.");
        assert!(matches!(full, Fault::Overloaded(_)));
    }
}
