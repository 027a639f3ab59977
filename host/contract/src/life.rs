//! How long what ends by itself may live.

use crate::fault::Fault;

/// Nothing that ends lives longer than this: a hundred years.
const TTL_MAX_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// For how long something lives that was given `ttl_ms`, in milliseconds.
///
/// # Errors
/// A time to live of 0 is [`Fault::Invalid`].
pub fn life_of(ttl_ms: u64) -> Result<u64, Fault> {
    if ttl_ms == 0 {
        return Err(Fault::Invalid("a time to live of 0 is no life".to_owned()));
    }
    Ok(ttl_ms.min(TTL_MAX_MS))
}
