//! Errors as clients see them: one code, message and retry flag, on both edges.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use wasmtime::component::Val;

use crate::fault::Fault;
use crate::json::{self, Mismatch};

/// A refused or failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EdgeError {
    /// Stable, in snake case.
    pub(super) code: String,
    /// For people.
    pub(super) message: String,
    /// Whether the same call may succeed later.
    pub(super) retryable: bool,
}

/// What a function has to say of an error is cut off here, in bytes.
const MESSAGE_BYTES: usize = 4096;

impl EdgeError {
    pub(super) fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            retryable: false,
        }
    }

    /// The error that a function answered.
    pub(super) fn answered(error: Option<&Val>) -> Self {
        let (mut code, mut message, retryable) = json::error_parts(error);
        for text in [&mut code, &mut message] {
            text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
        }
        Self {
            code,
            message,
            retryable,
        }
    }

    /// The code of JSON-RPC 2.0; those of its own are from -32768 to -32600.
    pub(super) fn rpc_code(&self) -> i32 {
        match self.code.as_str() {
            "parse_error" => -32700,
            "invalid_request" => -32600,
            "unknown_method" => -32601,
            "invalid" => -32602,
            "internal" => -32603,
            _ => -32000,
        }
    }

    fn status(&self) -> StatusCode {
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
}

impl From<Fault> for EdgeError {
    fn from(fault: Fault) -> Self {
        Self {
            code: fault.code().to_owned(),
            message: fault.to_string(),
            retryable: fault.is_retryable(),
        }
    }
}

impl From<Mismatch> for EdgeError {
    fn from(mismatch: Mismatch) -> Self {
        Self::permanent("invalid", mismatch.to_string())
    }
}

impl IntoResponse for EdgeError {
    fn into_response(self) -> Response {
        let status = self.status();
        self.with_status(status)
    }
}

impl EdgeError {
    /// Problem details of RFC 9457, with a status that the code alone does not say.
    pub(super) fn with_status(self, status: StatusCode) -> Response {
        let problem = json!({
            "type": format!("urn:mpim:error:{}", self.code),
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": self.message,
            "code": self.code,
            "retryable": self.retryable,
        });
        let headers = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, headers, Body::from(problem.to_string())).into_response()
    }
}
