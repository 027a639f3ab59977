//! Why a cache, a metadata store or a queue could not do what it was asked, and whether a repeat may help.

/// Why a cache, a metadata store or a queue could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The request itself is wrong; the same request fails again.
    #[error("{0}")]
    Invalid(String),
    /// The backend cannot be used for now; a retry may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// A bound was met; a later retry may succeed.
    #[error("{0}")]
    Overloaded(String),
    /// The deadline passed first; whether the work was done is unknown.
    #[error("{0}")]
    Timeout(String),
}

impl Fault {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Invalid(_))
    }
}
