//! The errors of backends as components see them.

use contract::Fault;
use runtime::State;

use crate::bindings::mpim::host::types as wit;
use crate::guest::Guest;

impl wit::Host for State<Guest> {}

impl From<Fault> for wit::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Invalid(message) => Self::Invalid(message),
            Fault::Unavailable(message) => Self::Unavailable(message),
            Fault::Overloaded(message) => Self::Overloaded(message),
            Fault::Timeout(message) => Self::Timeout(message),
        }
    }
}
