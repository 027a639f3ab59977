//! Errors of calls, as the edges of this host say them.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use wasmtime::component::Val;
pub(super) use wire::error::EdgeError;
use wire::error::PROBLEM_TYPE;

use crate::fault::Fault;
use crate::json;

/// The error that a function answered.
pub(super) fn answered(error: Option<&Val>) -> EdgeError {
    let (code, message, retryable) = json::error_parts(error);
    EdgeError::answered(code, message, retryable)
}

/// The code of JSON-RPC 2.0; those of its own are from -32768 to -32600.
pub(super) fn rpc_code(error: &EdgeError) -> i32 {
    match error.code.as_str() {
        "parse_error" => -32700,
        "invalid_request" => -32600,
        "unknown_method" => -32601,
        "invalid" => -32602,
        "internal" => -32603,
        _ => -32000,
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

/// The answer to an HTTP request that was refused or failed.
pub(super) struct Refused {
    error: EdgeError,
    status: StatusCode,
}

impl Refused {
    /// With a status that the code of the error alone does not say.
    pub(super) fn with_status(error: EdgeError, status: StatusCode) -> Self {
        Self { error, status }
    }
}

impl<E: Into<EdgeError>> From<E> for Refused {
    fn from(error: E) -> Self {
        let error = error.into();
        let status = error.status();
        Self { error, status }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, PROBLEM_TYPE)];
        (self.status, headers, Body::from(self.error.problem(self.status))).into_response()
    }
}
