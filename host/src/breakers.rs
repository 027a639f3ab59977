//! A circuit breaker, as its own state diagram:
//!
//! ```text
//!            failures in a row reach the threshold
//!   Closed ────────────────────────────────────────> Open
//!     ^                                               │ after `open_ms`, one call may try
//!     │  the trial succeeds                           v
//!     └─────────────────────────────────────────── Trial ──> Open, when the trial fails
//! ```
//!
//! It counts; what a failure is, the caller says. Only failures that say something about the
//! callee's health should be reported: a refused request is a success.

use std::sync::Mutex;

use tokio::time::Instant;

use crate::config::{BreakerSettings, ms};

/// One breaker. Cheap: a lock held for a few instructions.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { since: Instant },
    Trial { since: Instant },
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Whether a call may be tried now. Each true wants one [`Self::report`]; a trial that is never
    /// reported is given up after `open_ms`, so that a lost caller cannot keep the breaker shut.
    pub fn allow(&self) -> bool {
        let open_for = ms(self.settings.open_ms);
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { since } | State::Trial { since } if since.elapsed() >= open_for => {
                *state = State::Trial { since: Instant::now() };
                true
            }
            State::Open { .. } | State::Trial { .. } => false,
        }
    }

    /// Tells how an allowed call ended.
    pub fn report(&self, success: bool) {
        let mut state = self.lock();
        *state = match (*state, success) {
            (State::Open { since }, _) => State::Open { since },
            (_, true) => State::Closed { failures: 0 },
            (State::Trial { .. }, false) => State::Open { since: Instant::now() },
            (State::Closed { failures }, false) if failures + 1 >= self.settings.failures => {
                State::Open { since: Instant::now() }
            }
            (State::Closed { failures }, false) => State::Closed { failures: failures + 1 },
        };
    }

    /// Whether calls are refused now.
    pub fn is_open(&self) -> bool {
        matches!(*self.lock(), State::Open { since } if since.elapsed() < ms(self.settings.open_ms))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings {
            failures: 3,
            open_ms: 1000,
            names_max: 1,
        })
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            assert!(breaker.allow());
            breaker.report(false);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let breaker = breaker();
        fail(&breaker, 2);
        breaker.report(true);
        fail(&breaker, 2);
        assert!(breaker.allow());
        breaker.report(false);
        assert!(!breaker.allow());
    }

    #[tokio::test(start_paused = true)]
    async fn one_trial_after_the_pause_decides() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(ms(1000)).await;
        assert!(breaker.allow(), "the trial");
        assert!(!breaker.allow(), "only one");
        breaker.report(false);
        assert!(!breaker.allow());
        tokio::time::advance(ms(1000)).await;
        assert!(breaker.allow());
        breaker.report(true);
        assert!(breaker.allow() && breaker.allow());
    }
}
