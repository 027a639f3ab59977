//! What a component has of WASI: the clock and the randomness. Nothing else of a component asks for them.

/// Milliseconds since the epoch, UTC.
pub(crate) fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// Fills bytes with randomness that nobody can guess, or says why it cannot.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), String> {
    getrandom::fill(bytes).map_err(|error| error.to_string())
}
