//! Snowflakes: 41 bits of milliseconds since 2024, 10 bits of worker, 12 bits of sequence.
//!
//! A clock that steps back does not repeat ids: the last millisecond is kept until the clock has
//! caught up. A millisecond whose 4096 ids are used up borrows the next one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// 2024-01-01T00:00:00Z in milliseconds since the epoch.
const EPOCH_MS: u64 = 1_704_067_200_000;
const WORKER_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;

/// The source of ids of one worker.
#[derive(Debug)]
pub struct Ids {
    worker: u64,
    /// Milliseconds since [`EPOCH_MS`] and sequence of the last id.
    last: AtomicU64,
}

impl Ids {
    /// For a worker, of which the lower ten bits count. No two that run at once may be the same.
    pub fn new(worker: u16) -> Self {
        Self {
            worker: u64::from(worker) & ((1 << WORKER_BITS) - 1),
            last: AtomicU64::new(0),
        }
    }

    /// The next id: greater than all that this source gave before.
    pub fn next(&self) -> u64 {
        let elapsed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        self.next_at(u64::try_from(elapsed).unwrap_or(EPOCH_MS).saturating_sub(EPOCH_MS))
    }

    fn next_at(&self, now: u64) -> u64 {
        let mut taken = 0;
        // The closure is total, so that the update cannot fail.
        let _ = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            taken = (last + 1).max(now << SEQUENCE_BITS);
            Some(taken)
        });
        let (time, sequence) = (taken >> SEQUENCE_BITS, taken & ((1 << SEQUENCE_BITS) - 1));
        (time << (WORKER_BITS + SEQUENCE_BITS)) | (self.worker << SEQUENCE_BITS) | sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_through_a_full_millisecond_and_a_clock_that_steps_back() {
        let ids = Ids::new(7);
        let clock = (0..10_000).map(|_| 1_000).chain((0..10).map(|_| 3)).chain([5_000]);
        let given: Vec<_> = clock.map(|now| ids.next_at(now)).collect();
        assert!(given.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn workers_never_share_an_id() {
        let (one, two) = (Ids::new(1), Ids::new(2));
        assert_ne!(one.next_at(1), two.next_at(1));
        assert!(one.next() < 1 << 63);
    }
}
