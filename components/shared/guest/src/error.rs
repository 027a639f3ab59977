//! Makers of the typed error of `mpim:im`, and what errors of capabilities become in it.

use crate::bindings::mpim::host::{sql, types};
use crate::telemetry::{Level, log};
use crate::{Error, ErrorCode};

/// Errors that the same request meets again.
macro_rules! permanent {
    ($($(#[$documentation:meta])* $maker:ident => $code:ident),* $(,)?) => {
        impl Error {
            $($(#[$documentation])*
            pub fn $maker(message: impl Into<String>) -> Self {
                Self { code: ErrorCode::$code, message: message.into(), retryable: false }
            })*
        }
    };
}

permanent! {
    /// The request is wrong.
    invalid => Invalid,
    /// Who calls is not known.
    unauthenticated => Unauthenticated,
    /// The caller may not do this.
    forbidden => Forbidden,
    /// The receiver blocked the caller.
    blocked => Blocked,
    /// The thing named is not there, or not for the caller.
    not_found => NotFound,
    /// The thing is there already.
    already_exists => AlreadyExists,
    /// A client id was used before, for other content.
    client_id_reused => ClientIdReused,
    /// The time for this has passed.
    expired => Expired,
    /// A limit of size or number was met.
    too_large => TooLarge,
    /// A fault of the service itself.
    internal => Internal,
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Invalid(detail) => fault("a capability refused a request", detail),
            types::Error::Unavailable(message) | types::Error::Timeout(message) => unavailable(message),
            types::Error::Overloaded(message) => overloaded(message),
        }
    }
}

impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        match error {
            sql::Error::UniqueViolation(key) => fault("a unique key was violated unexpectedly", key),
            sql::Error::Unmet(step) => fault("a batch met too few rows unexpectedly", step.to_string()),
            sql::Error::Invalid(detail) => fault("a statement is wrong", detail),
            sql::Error::Unavailable(message) | sql::Error::Timeout(message) => unavailable(message),
            sql::Error::Overloaded(message) => overloaded(message),
        }
    }
}

fn unavailable(message: String) -> Error {
    Error {
        code: ErrorCode::Unavailable,
        message,
        retryable: true,
    }
}

fn overloaded(message: String) -> Error {
    Error {
        code: ErrorCode::Overloaded,
        message,
        retryable: true,
    }
}

/// The detail is for the log, not for the client.
fn fault(message: &str, detail: String) -> Error {
    log(Level::Error, message, &[("detail", detail)]);
    Error::internal("internal error")
}
