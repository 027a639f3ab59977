//! Errors of calls as edges say them.

use call::Fault;
use runtime::{Val, json};
use wire::error::EdgeError;

/// A call that gave no answer of its function.
pub fn refused(fault: Fault) -> EdgeError {
    EdgeError::new(fault.code(), fault.to_string(), fault.is_retryable())
}

/// The error that a function answered.
pub(crate) fn answered(error: Option<&Val>) -> EdgeError {
    let (code, message, retryable) = json::error_parts(error);
    EdgeError::answered(code, message, retryable)
}

/// What should not be; where it was found says more.
pub(crate) fn internal() -> EdgeError {
    EdgeError::permanent("internal", "internal error")
}

/// Why remote functions cannot be this node's.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// This node is not their operator.
    #[error("the functions at {0} refuse this node: its token (--remote-token) is not that of their operator")]
    Mistrusted(String),
    /// They are others than this node's manifest names, or take its token for a client's.
    #[error(
        "the functions at {url} do not fit the manifest of this node, or its token (--remote-token) is a client's: \
         {name}: {message}"
    )]
    Refused {
        /// Where they are.
        url: String,
        /// What was called.
        name: String,
        /// What was answered.
        message: String,
    },
}
