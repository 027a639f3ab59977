//! Why a client command failed, where callers branch: a server that cannot be reached, a request that it
//! refused, a connection that ended.

use std::fmt;

use serde::Deserialize;

/// The close code of a connection whose session the service has ended.
pub const KICKED: u16 = 4001;

/// What went wrong between a client and a server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// The server, as the user named it.
        address: String,
        /// What the network said.
        reason: String,
    },
    /// The server answered that it did not do what was asked.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection ended. What was asked and not answered may have been done.
    #[error("the connection ended: {0}")]
    Closed(Close),
    /// The server sent what this client cannot read.
    #[error("the server sent an unreadable answer: {0}")]
    Unreadable(String),
    /// No answer came in time.
    #[error("no answer to {0} in time")]
    Late(String),
}

impl Error {
    /// Whether a new connection may help.
    pub fn is_connection(&self) -> bool {
        match self {
            Self::Closed(close) => close.code != Some(KICKED),
            Self::Unreachable { .. } | Self::Late(_) => true,
            Self::Refused(_) | Self::Unreadable(_) => false,
        }
    }
}

/// An error that the service answered; see `mpim:im/types.error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked.
    pub what: String,
    /// The stable code, in snake_case.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            code,
            message,
            retryable,
        } = self;
        let later = if *retryable { ", retryable" } else { "" };
        write!(out, "{what} was refused: {message} (code {code}{later})")
    }
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The close code; absent when the connection broke.
    pub code: Option<u16>,
    /// For people.
    pub reason: String,
}

impl Close {
    /// A connection that ended without a close frame.
    pub fn broken(reason: impl fmt::Display) -> Self {
        Self {
            code: None,
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(out, "{} (close code {code})", self.reason),
            None => out.write_str(&self.reason),
        }
    }
}

/// The body of an error that came over HTTP: `application/problem+json`.
#[derive(Debug, Deserialize)]
pub struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    retryable: bool,
}

impl Problem {
    /// Reads a body; anything that is no problem is told by its status alone.
    pub fn refusal(what: &str, status: u16, body: &[u8]) -> Refusal {
        match serde_json::from_slice::<Self>(body) {
            Ok(problem) => Refusal {
                what: what.to_owned(),
                code: problem.code.unwrap_or_else(|| format!("http_{status}")),
                message: problem.detail.unwrap_or(problem.title),
                retryable: problem.retryable,
            },
            Err(_) => Refusal {
                what: what.to_owned(),
                code: format!("http_{status}"),
                message: "the server gave no reason".to_owned(),
                retryable: matches!(status, 429 | 502 | 503 | 504),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Close, Error, KICKED, Problem};

    #[test]
    fn a_problem_becomes_a_refusal() {
        let body = br#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no such user",
            "code":"not_found","retryable":false}"#;
        let refusal = Problem::refusal("contacts.find", 404, body);
        assert_eq!(
            refusal.to_string(),
            "contacts.find was refused: no such user (code not_found)"
        );
    }

    #[test]
    fn an_answer_of_a_proxy_is_told_by_its_status() {
        let refusal = Problem::refusal("send.ack", 503, b"<html>busy</html>");
        assert_eq!((refusal.code.as_str(), refusal.retryable), ("http_503", true));
    }

    #[test]
    fn a_kick_is_no_reason_to_connect_again() {
        let close = |code| {
            Error::Closed(Close {
                code,
                reason: String::new(),
            })
        };
        assert!(!close(Some(KICKED)).is_connection());
        assert!(close(Some(4002)).is_connection());
        assert!(close(None).is_connection());
    }
}
