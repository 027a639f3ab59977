//! Errors as clients see them: one code, message and retry flag, on every edge.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::json::Mismatch;

/// A refused or failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeError {
    /// Stable, in snake case.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// The status of HTTP, where the code alone does not say it.
    status: Option<StatusCode>,
}

/// What a function has to say of an error is cut off here, in bytes.
const MESSAGE_BYTES: usize = 4096;
/// What of the input is said back, in characters.
const CLIP: usize = 64;

/// The media type of [`EdgeError::problem`].
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Problem details of RFC 9457. Its keys are in the order of their letters.
#[derive(Serialize, Deserialize)]
struct Problem {
    code: String,
    detail: String,
    retryable: bool,
    status: u16,
    title: String,
    #[serde(rename = "type")]
    kind: String,
}

impl EdgeError {
    /// With a code in snake case and a message for people.
    pub fn new(code: &str, message: impl Into<String>, retryable: bool) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            retryable,
            status: None,
        }
    }

    /// One that no retry helps against.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::new(code, message, false)
    }

    /// One that a retry may help against.
    pub fn passing(code: &str, message: impl Into<String>) -> Self {
        Self::new(code, message, true)
    }

    /// The error that a function answered, bounded in length.
    pub fn answered(mut code: String, mut message: String, retryable: bool) -> Self {
        for text in [&mut code, &mut message] {
            text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
        }
        Self {
            code,
            message,
            retryable,
            status: None,
        }
    }

    /// A private method is as unknown as one that is not there.
    pub fn unknown_method(function: &str, method: &str) -> Self {
        Self::permanent(
            "unknown_method",
            format!("unknown method {}.{}", clip(function), clip(method)),
        )
    }

    /// The method is for logged-in users.
    pub fn unauthenticated() -> Self {
        Self::permanent("unauthenticated", "log in first")
    }

    /// Somebody else does what only the operator may. Its status is 403, which tells it apart from arguments that are
    /// invalid.
    pub fn not_the_operator(message: impl Into<String>) -> Self {
        Self {
            status: Some(StatusCode::FORBIDDEN),
            ..Self::permanent("invalid", message)
        }
    }

    /// The body of a request is larger than may be.
    pub fn body_too_large(most: usize) -> Self {
        Self::permanent("too_large", format!("the body has more than {most} bytes"))
    }

    /// The answer would be larger than may be.
    pub fn answer_too_large(most: usize) -> Self {
        let message = format!("the answer has more than {most} bytes, ask for less");
        Self::permanent("too_large", message)
    }

    /// The path stands for nothing.
    pub fn no_such_path() -> Self {
        Self::permanent("not_found", "no such path")
    }

    /// The path is not for this HTTP method.
    pub fn method_not_allowed() -> Self {
        Self {
            status: Some(StatusCode::METHOD_NOT_ALLOWED),
            ..Self::permanent("invalid", "this path takes another HTTP method")
        }
    }

    /// The status of HTTP that goes with it.
    pub fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| self.usual_status())
    }

    fn usual_status(&self) -> StatusCode {
        match self.code.as_str() {
            "unauthenticated" => StatusCode::UNAUTHORIZED,
            "forbidden" | "blocked" => StatusCode::FORBIDDEN,
            "not_found" | "unknown_method" => StatusCode::NOT_FOUND,
            "already_exists" | "client_id_reused" | "expired" => StatusCode::CONFLICT,
            "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "unsupported_media_type" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "rate_limited" => StatusCode::TOO_MANY_REQUESTS,
            "overloaded" | "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "internal" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The body of the answer that tells it.
    pub fn problem(&self) -> String {
        let status = self.status();
        let problem = Problem {
            code: self.code.clone(),
            detail: self.message.clone(),
            retryable: self.retryable,
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            kind: format!("urn:mpim:error:{}", self.code),
        };
        // Text and numbers are always JSON.
        serde_json::to_string(&problem).unwrap_or_default()
    }

    /// Reads what [`Self::problem`] wrote; none for anything else.
    pub fn of_problem(body: &[u8]) -> Option<Self> {
        let problem: Problem = serde_json::from_slice(body).ok()?;
        Some(Self::answered(problem.code, problem.detail, problem.retryable))
    }
}

impl From<Mismatch> for EdgeError {
    fn from(mismatch: Mismatch) -> Self {
        Self::permanent("invalid", mismatch.to_string())
    }
}

fn clip(text: &str) -> String {
    text.chars().take(CLIP).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_as_the_error_that_was_written() {
        let error = EdgeError::passing("unavailable", "not \"now\"");
        let problem = error.problem();
        assert_eq!(EdgeError::of_problem(problem.as_bytes()), Some(error));
        assert!(problem.contains("\"status\":503") && problem.contains("\"title\":\"Service Unavailable\""));
        assert_eq!(EdgeError::of_problem(b"<html>"), None);
    }

    #[test]
    fn what_is_said_back_is_bounded() {
        let long = "ü".repeat(10_000);
        assert!(EdgeError::answered(long.clone(), long.clone(), false).message.len() <= MESSAGE_BYTES);
        assert!(EdgeError::unknown_method(&long, &long).message.chars().count() < 200);
    }
}
