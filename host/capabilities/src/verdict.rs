//! Breakers before backends: what they are asked, and what they are told.

use std::time::Duration;

use contract::Fault;
use policy::Breaker;
use tokio::time::Instant;

/// Asks a backend unless its breaker is open.
pub(crate) async fn guarded<R>(breaker: &Breaker, work: impl Future<Output = Result<R, Fault>>) -> Result<R, Fault> {
    if !breaker.allow(now()) {
        return Err(Fault::Unavailable(
            "the backend is failing and is not asked for a moment".to_owned(),
        ));
    }
    let mut verdict = Verdict::new(breaker);
    let outcome = work.await;
    verdict.success = Some(!matches!(outcome, Err(Fault::Unavailable(_) | Fault::Timeout(_))));
    outcome
}

/// A backend that lets one call wait for longer counts as one that cannot be used.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a breaker is told when a call ends, or is given up by who made it: that says something about the backend only
/// when it had its time.
pub(crate) struct Verdict<'a> {
    breaker: &'a Breaker,
    asked: Instant,
    pub(crate) success: Option<bool>,
}

impl<'a> Verdict<'a> {
    pub(crate) fn new(breaker: &'a Breaker) -> Self {
        Self {
            breaker,
            asked: Instant::now(),
            success: None,
        }
    }

    fn had_time(&self) -> bool {
        self.asked.elapsed() >= PATIENCE
    }
}

impl Drop for Verdict<'_> {
    fn drop(&mut self) {
        match self.success {
            Some(success) => self.breaker.report(success, now()),
            None if self.had_time() => self.breaker.report(false, now()),
            None => {}
        }
    }
}

/// The time that breakers are told.
pub(crate) fn now() -> std::time::Instant {
    Instant::now().into_std()
}
