//! Snowflakes: 41 bits of milliseconds since 2024, 10 bits of worker, 12 bits of sequence.
//!
//! The worker is lent for a while, so that no two nodes have the same at once, and with it a stretch of time: ids
//! carry no millisecond beyond its end, and whoever is lent the worker next begins after it. So an id is never given
//! twice, however the clock steps and whenever the node dies. Who lends is not known here.

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// 2024-01-01T00:00:00Z in milliseconds since the epoch.
const EPOCH_MS: u64 = 1_704_067_200_000;
const WORKER_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;

/// How many workers there can be.
pub const WORKERS: u16 = 1 << WORKER_BITS;

/// The source of ids of this node. Gives none before it was lent a worker.
#[derive(Debug, Default)]
pub struct Ids(Mutex<State>);

/// A worker, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loan {
    /// The worker, below [`WORKERS`].
    pub worker: u16,
    /// No id may carry a millisecond up to this one, of those since the epoch: another may have given it.
    pub after_ms: u64,
    /// No id may carry a millisecond beyond this one.
    pub until_ms: u64,
    /// When the loan ends.
    pub ends: Instant,
}

/// The worker of this node is not its own any more, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node has lost its worker number and gives no ids until it has one")]
pub struct NoWorker;

#[derive(Debug, Default)]
struct State {
    loan: Option<Loan>,
    /// Milliseconds since [`EPOCH_MS`] and sequence of the last id.
    last: u64,
}

impl Ids {
    /// Takes a loan, in place of the one before.
    pub fn lend(&self, loan: Loan) {
        let mut state = self.state();
        let begin = (since_2024(loan.after_ms) + 1) << SEQUENCE_BITS;
        state.last = state.last.max(begin);
        state.loan = Some(loan);
    }

    /// Prolongs the loan of this worker.
    pub fn extend(&self, until_ms: u64, ends: Instant) {
        if let Some(loan) = &mut self.state().loan {
            loan.until_ms = loan.until_ms.max(until_ms);
            loan.ends = ends;
        }
    }

    /// The next id: greater than all that this source gave before.
    pub fn next(&self) -> Result<u64, NoWorker> {
        self.next_at(now_ms(), Instant::now())
    }

    /// The last millisecond since the epoch that an id carried.
    pub fn last_ms(&self) -> u64 {
        (self.state().last >> SEQUENCE_BITS) + EPOCH_MS
    }

    fn next_at(&self, now_ms: u64, now: Instant) -> Result<u64, NoWorker> {
        let mut state = self.state();
        let loan = state.loan.filter(|loan| now < loan.ends).ok_or(NoWorker)?;
        let clock = since_2024(now_ms.min(loan.until_ms)) << SEQUENCE_BITS;
        // A clock that stepped back, or a millisecond whose ids are used up, borrows from the ones to come.
        let taken = (state.last + 1).max(clock);
        let (time, sequence) = (taken >> SEQUENCE_BITS, taken & ((1 << SEQUENCE_BITS) - 1));
        if time > since_2024(loan.until_ms) {
            return Err(NoWorker);
        }
        state.last = taken;
        let worker = u64::from(loan.worker % WORKERS);
        Ok((time << (WORKER_BITS + SEQUENCE_BITS)) | (worker << SEQUENCE_BITS) | sequence)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since the epoch by the clock of the system.
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(EPOCH_MS)
}

fn since_2024(ms: u64) -> u64 {
    ms.saturating_sub(EPOCH_MS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn loan(worker: u16, after_ms: u64, until_ms: u64) -> Loan {
        Loan {
            worker,
            after_ms: EPOCH_MS + after_ms,
            until_ms: EPOCH_MS + until_ms,
            ends: Instant::now() + Duration::from_secs(600),
        }
    }

    #[test]
    fn ids_grow_through_a_full_millisecond_and_a_clock_that_steps_back() {
        let ids = Ids::default();
        ids.lend(loan(7, 0, 10_000));
        let clock = (0..10_000).map(|_| 1_000).chain((0..10).map(|_| 3)).chain([5_000]);
        let given: Vec<_> = clock
            .map(|now| ids.next_at(EPOCH_MS + now, Instant::now()).unwrap())
            .collect();
        assert!(given.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn workers_never_share_an_id() {
        let (one, two) = (Ids::default(), Ids::default());
        one.lend(loan(1, 0, 10));
        two.lend(loan(2, 0, 10));
        let now = Instant::now();
        assert_ne!(one.next_at(EPOCH_MS + 5, now), two.next_at(EPOCH_MS + 5, now));
        assert!(one.next_at(u64::MAX, now).unwrap() < 1 << 63);
    }

    #[test]
    fn no_id_carries_a_time_beyond_its_loan() {
        let ids = Ids::default();
        ids.lend(loan(1, 0, 10));
        let now = Instant::now();
        let given: Vec<_> = std::iter::from_fn(|| ids.next_at(EPOCH_MS + 50, now).ok())
            .take(5_000)
            .collect();
        assert_eq!(given.len(), 1 << SEQUENCE_BITS, "those of one millisecond");
        assert!(given.iter().all(|id| id >> (WORKER_BITS + SEQUENCE_BITS) == 10));
    }

    #[test]
    fn without_a_loan_and_after_its_end_there_are_no_ids() {
        let ids = Ids::default();
        let now = Instant::now();
        assert_eq!(ids.next_at(EPOCH_MS, now), Err(NoWorker));
        ids.lend(Loan {
            ends: now,
            ..loan(1, 0, 10)
        });
        assert_eq!(ids.next_at(EPOCH_MS, now), Err(NoWorker));
    }

    proptest! {
        /// Nodes that die and are followed by others with the same worker, under clocks that step anywhere.
        #[test]
        fn no_id_is_given_twice_over_all_loans_of_a_worker(
            lives in proptest::collection::vec(proptest::collection::vec(0..2_000_u64, 1..40), 1..8),
        ) {
            let (mut horizon, mut seen, now) = (0, HashSet::new(), Instant::now());
            for clocks in lives {
                let ids = Ids::default();
                ids.lend(loan(3, horizon, horizon));
                for clock in clocks {
                    horizon = horizon.max(clock) + 1 + clock % 3;
                    ids.extend(EPOCH_MS + horizon, now + Duration::from_secs(600));
                    for _ in 0..3 {
                        if let Ok(id) = ids.next_at(EPOCH_MS + clock, now) {
                            prop_assert!(seen.insert(id));
                        }
                    }
                }
            }
            prop_assert!(!seen.is_empty());
        }
    }
}
