//! When what has a time to live ends, by the clock of tokio.

use std::time::Duration;

use contract::{Fault, life_of};
use tokio::time::Instant;

/// When something ends that lives for `ttl_ms` from now.
pub(super) fn end_of(ttl_ms: u64) -> Result<Instant, Fault> {
    Ok(Instant::now() + Duration::from_millis(life_of(ttl_ms)?))
}
