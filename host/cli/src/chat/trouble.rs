//! Why something that the user of a chat wanted was not done, and whether the chat goes on.

use client::error::Error;

use crate::failure::Failure;

/// Why something that the user wanted was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The service said no, or nothing: the user is told, and the chat goes on.
    Told(Error),
    /// The chat cannot go on.
    Fatal(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(_) | Error::Late(_) => Self::Told(error),
            _ => Self::Fatal(error.into()),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Fatal(failure)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Told(error) => error.into(),
            Trouble::Fatal(failure) => failure,
        }
    }
}
