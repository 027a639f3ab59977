//! The errors of capabilities, from those of the rules that are shared.

use contract::Fault;

use crate::bindings::exports::mpim::host::sql as wit;
use crate::bindings::exports::mpim::host::types::Error;

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Invalid(message) => Self::Invalid(message),
            Fault::Unavailable(message) => Self::Unavailable(message),
            Fault::Overloaded(message) => Self::Overloaded(message),
            Fault::Timeout(message) => Self::Timeout(message),
        }
    }
}

impl From<contract::sql::Error> for wit::Error {
    fn from(error: contract::sql::Error) -> Self {
        use contract::sql::Error;
        match error {
            Error::UniqueViolation(key) => Self::UniqueViolation(key),
            Error::Unmet(step) => Self::Unmet(step),
            Error::Invalid(message) => Self::Invalid(message),
            Error::Unavailable(message) => Self::Unavailable(message),
            Error::Overloaded(message) => Self::Overloaded(message),
            Error::Timeout(message) => Self::Timeout(message),
        }
    }
}
