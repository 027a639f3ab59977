//! Errors of calls, as the edges of this host say them.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use wire::error::{EdgeError, PROBLEM_TYPE};

/// The code of JSON-RPC 2.0; those of its own are from -32768 to -32600.
pub(crate) fn rpc_code(error: &EdgeError) -> i32 {
    match error.code.as_str() {
        "parse_error" => -32700,
        "invalid_request" => -32600,
        "unknown_method" => -32601,
        "invalid" => -32602,
        "internal" => -32603,
        _ => -32000,
    }
}

/// The answer to an HTTP request that was refused or failed.
pub(crate) struct Refused(EdgeError);

impl<E: Into<EdgeError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, PROBLEM_TYPE)];
        (self.0.status(), headers, Body::from(self.0.problem())).into_response()
    }
}
