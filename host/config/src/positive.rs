//! A number of milliseconds that must not be 0.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A pause between rounds of work: without any, a round would follow the other as fast as it can.
pub(crate) fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(D::Error::custom("must be greater than 0")),
        milliseconds => Ok(milliseconds),
    }
}
