//! Why a measurement or a performance did not come to its end.

use std::fmt;

use client::error::Error;

/// What went wrong, for people; a caller may branch on what the server did.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server could not be reached, refused, or ended a connection.
    #[error(transparent)]
    Server(#[from] Error),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A failure that is not the server's.
    pub(crate) fn other(message: impl fmt::Display) -> Self {
        Self::Other(message.to_string())
    }
}
