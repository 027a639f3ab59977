//! A circuit breaker, as its own state diagram:
//!
//! ```text
//!            failures in a row reach the threshold
//!   Closed ────────────────────────────────────────> Open
//!     ^                                               │ after `open_for`, one call may try
//!     │  the trial succeeds                           v
//!     └─────────────────────────────────────────── Trial ──> Open, when the trial fails
//! ```
//!
//! It counts and is told the time; what a failure is, the caller says. Only failures that say something about the
//! callee's health should be reported: a refused request is a success.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One breaker. Cheap: a lock held for a few instructions.
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    open_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { since: Instant },
    Trial { since: Instant },
}

impl Breaker {
    /// A closed breaker, which so many failures in a row open, and which stays open for so long before one call may try.
    pub fn new(failures_max: u32, open_for: Duration) -> Self {
        Self {
            failures_max,
            open_for,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Whether a call may be tried at this time. Each true wants one [`Self::report`]; a trial that is never
    /// reported is given up after `open_for`, so that a lost caller cannot keep the breaker shut.
    pub fn allow(&self, now: Instant) -> bool {
        let open_for = self.open_for;
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { since } | State::Trial { since } if now.saturating_duration_since(since) >= open_for => {
                *state = State::Trial { since: now };
                true
            }
            State::Open { .. } | State::Trial { .. } => false,
        }
    }

    /// Tells how an allowed call ended, and when.
    pub fn report(&self, success: bool, now: Instant) {
        let mut state = self.lock();
        *state = match (*state, success) {
            (State::Open { since }, _) => State::Open { since },
            (_, true) => State::Closed { failures: 0 },
            (State::Trial { .. }, false) => State::Open { since: now },
            (State::Closed { failures }, false) if failures + 1 >= self.failures_max => State::Open { since: now },
            (State::Closed { failures }, false) => State::Closed { failures: failures + 1 },
        };
    }

    /// Whether calls are refused at this time.
    pub fn is_open(&self, now: Instant) -> bool {
        let open_for = self.open_for;
        matches!(*self.lock(), State::Open { since } if now.saturating_duration_since(since) < open_for)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(3, OPEN)
    }

    fn fail(breaker: &Breaker, times: u32, now: Instant) {
        for _ in 0..times {
            assert!(breaker.allow(now));
            breaker.report(false, now);
        }
    }

    const OPEN: Duration = Duration::from_millis(1000);

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 2, now);
        breaker.report(true, now);
        fail(&breaker, 2, now);
        assert!(breaker.allow(now) && !breaker.is_open(now));
        breaker.report(false, now);
        assert!(!breaker.allow(now) && breaker.is_open(now));
    }

    #[test]
    fn one_trial_after_the_pause_decides() {
        let (breaker, mut now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        now += OPEN;
        assert!(breaker.allow(now), "the trial");
        assert!(!breaker.allow(now), "only one");
        breaker.report(false, now);
        assert!(!breaker.allow(now));
        now += OPEN;
        assert!(breaker.allow(now));
        breaker.report(true, now);
        assert!(breaker.allow(now) && breaker.allow(now));
    }
}
