//! Lists that the cache keeps: pushed to at either end, and read by a range of indexes.

use super::value::{Cached, decode, encode};
use crate::{Error, import};

/// Pushes values before the first of a list, the last of them first, and gives the new length. The list lives as long as
/// the push that began it said.
pub async fn push_left<T: Cached>(key: String, values: &[T], ttl_ms: u64) -> Result<u64, Error> {
    let values = values.iter().map(encode).collect();
    Ok(import!(async crate::bindings::mpim::host::cache, push_left, push_left_cached(key, values, ttl_ms))?)
}

/// Pushes values behind the last of a list, and gives the new length. The list lives as long as the push that began it
/// said.
pub async fn push_right<T: Cached>(key: String, values: &[T], ttl_ms: u64) -> Result<u64, Error> {
    let values = values.iter().map(encode).collect();
    Ok(import!(async crate::bindings::mpim::host::cache, push_right, push_right_cached(key, values, ttl_ms))?)
}

/// The values of a list from `start` to `stop`, both included; negative ones count from the end. None for a value that
/// cannot be read, since a component of another version wrote it.
pub async fn range<T: Cached>(key: String, start: i64, stop: i64) -> Result<Vec<Option<T>>, Error> {
    let found = import!(async crate::bindings::mpim::host::cache, range, range_cached(key, start, stop))?;
    Ok(found.iter().map(|bytes| decode(bytes)).collect())
}
