//! Why a client command did not do what it was asked, and the exit code that says so.

use std::fmt;

use client::error::{Error, KICKED};

/// The documented exit codes; 2 is clap's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Failed, or found differences.
    Failed = 1,
    /// Cannot reach the server.
    Unreachable = 3,
    /// Refused by the server.
    Refused = 4,
    /// The server ended the session.
    Kicked = 5,
}

/// Why a client command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// For people.
    pub(crate) message: String,
}

impl Failure {
    /// A failure that is not the server's.
    pub(crate) fn other(message: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Failed,
            message: message.to_string(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Unreachable { .. } => Exit::Unreachable,
            Error::Refused(_) => Exit::Refused,
            Error::Closed(close) if close.code == Some(KICKED) => Exit::Kicked,
            Error::Closed(_) | Error::Unreadable(_) | Error::Late(_) => Exit::Failed,
        };
        Self {
            exit,
            message: error.to_string(),
        }
    }
}

impl From<bench::failure::Failure> for Failure {
    fn from(failure: bench::failure::Failure) -> Self {
        match failure {
            bench::failure::Failure::Server(error) => error.into(),
            other @ bench::failure::Failure::Other(_) => Self::other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use client::error::{Close, Error, Refusal};

    use super::{Exit, Failure};

    #[test]
    fn failures_have_the_documented_exit_codes() {
        let exit = |error: Error| Failure::from(error).exit as u8;
        let closed = |code| {
            Error::Closed(Close {
                code,
                reason: String::new(),
            })
        };
        let refusal = Refusal {
            what: String::new(),
            code: "not_found".to_owned(),
            message: String::new(),
            retryable: false,
        };
        assert_eq!(
            exit(Error::Unreachable {
                address: String::new(),
                reason: String::new()
            }),
            3
        );
        assert_eq!(exit(Error::Refused(refusal)), 4);
        assert_eq!(exit(closed(Some(4001))), Exit::Kicked as u8);
        assert_eq!(exit(closed(Some(1001))), 1);
    }
}
