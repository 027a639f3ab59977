//! Password hashes, computed right here: whoever else is served by this instance waits meanwhile.

use password::{Cost, Invalid};

use crate::Backend;
use crate::bindings::exports::mpim::host::password::{Error, Guest};

impl Guest for Backend {
    async fn hash(password: String) -> Result<String, Error> {
        password::check(&password)
            .and_then(|()| password::hash(password.as_bytes(), Cost::default()))
            .map_err(wrong)
    }

    async fn verify(password: String, hash: String) -> Result<bool, Error> {
        password::check(&password)
            .and_then(|()| password::verify(password.as_bytes(), &hash, Cost::default()))
            .map_err(wrong)
    }
}

fn wrong(Invalid(reason): Invalid) -> Error {
    Error::Invalid(reason)
}
