//! Why an invoke gave no answer of its function: the errors of the host itself.
//!
//! Their codes share one list with the error codes of `mpim:im`, so that a client reads one kind of error.

/// A failed invoke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No function or method of this name, or it is private.
    #[error("unknown method {0}")]
    UnknownMethod(String),
    /// The method is for logged-in users.
    #[error("log in first")]
    Unauthenticated,
    /// The arguments do not have the types of the parameters.
    #[error("{0}")]
    InvalidArguments(String),
    /// A bound was met: sandboxes, queues, depth.
    #[error("{0}")]
    Overloaded(String),
    /// The deadline passed.
    #[error("{0} did not answer in time")]
    DeadlineExceeded(String),
    /// The node itself cannot serve calls for now.
    #[error("{0}")]
    Unavailable(String),
    /// The breaker of the function is open.
    #[error("{0} is failing and is not called for a moment")]
    BreakerOpen(String),
    /// The component trapped or broke a limit; the details are in the log.
    #[error("{0} failed")]
    Trapped(String),
}

impl Fault {
    /// The stable code, in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownMethod(_) => "unknown_method",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidArguments(_) => "invalid",
            Self::Overloaded(_) => "overloaded",
            Self::DeadlineExceeded(_) | Self::Unavailable(_) => "unavailable",
            Self::BreakerOpen(_) => "unavailable",
            Self::Trapped(_) => "internal",
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Overloaded(_) | Self::DeadlineExceeded(_) | Self::Unavailable(_) | Self::BreakerOpen(_) => true,
            Self::UnknownMethod(_) | Self::Unauthenticated | Self::InvalidArguments(_) | Self::Trapped(_) => false,
        }
    }
}
