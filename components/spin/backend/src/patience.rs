//! How long anything may take, and chance.

use std::pin::pin;

use futures_util::future::{Either, select};
use spin_sdk::wasip3::clocks::monotonic_clock;

const NANOSECONDS: u64 = 1_000_000;

/// What a future gives within a time; none if it takes longer, and it is given up then.
pub(crate) async fn within<T>(ms: u64, future: impl Future<Output = T>) -> Option<T> {
    let late = monotonic_clock::wait_for(ms.saturating_mul(NANOSECONDS));
    match select(pin!(future), pin!(late)).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(_) => None,
    }
}

/// Any number.
pub(crate) fn random() -> u64 {
    spin_sdk::wasip3::random::random::get_random_u64()
}

/// Waits.
pub(crate) async fn pause(ms: u64) {
    monotonic_clock::wait_for(ms.saturating_mul(NANOSECONDS)).await;
}
