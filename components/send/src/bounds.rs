//! How much one call takes, one statement names and one write is tried again, and the settings of that; and what a caller
//! is told who met the bound of tries.

use guest::{Error, ErrorCode, config};

/// How often a write is tried again that lost against another one, before the caller has to.
pub(crate) const ROUNDS: u32 = 4;

/// How many ids one statement names.
pub(crate) const CHUNK: usize = 200;

/// How many ids one request may name.
pub(crate) const MOST_IDS: usize = 1000;

/// The delay before the first retry, unless `retry-after-ms` says otherwise.
const FIRST_DELAY_MS: u64 = 5_000;

/// The delay before the first retry.
pub(crate) fn first_delay_ms() -> u64 {
    config::value_or("retry-after-ms", FIRST_DELAY_MS)
}

/// The threshold of members from which a group is not fanned out on write.
pub(crate) fn fan_out_threshold() -> u32 {
    // The members of a group below the threshold are named in one statement: that bounds the setting.
    config::value_or("fan-out-threshold", 100_u32).min(1000)
}

/// What a caller is told who lost every round.
pub(crate) fn contended() -> Error {
    Error {
        code: ErrorCode::Unavailable,
        message: "too many writes at once, try again".to_owned(),
        retryable: true,
    }
}
