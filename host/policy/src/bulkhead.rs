//! A bulkhead: so many may be under way at once, and so many may wait for that. One that is full costs those who come
//! to it, and nobody else. It knows nothing of what is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

/// A bounded number of permits, and a bound on those that wait for one.
#[derive(Debug)]
pub struct Bulkhead {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// Leave to be under way, given back when it is dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// Too many wait already, or none was given back in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Bulkhead {
    /// So many permits, one at least, for which so many may wait.
    pub fn new(permits: usize, waiting_max: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(permits.clamp(1, Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            waiting_max,
        }
    }

    /// A permit, waited for until the deadline.
    pub async fn enter(&self, deadline: Instant) -> Result<Permit, Full> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(Permit(permit));
        }
        let _waiting = Waiting::enter(&self.waiting, self.waiting_max)?;
        let entered = timeout_at(deadline.into(), self.permits.clone().acquire_owned()).await;
        entered.map_err(|_| Full)?.map(Permit).map_err(|_| Full)
    }
}

/// One of those that wait, until it is dropped, also when it is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, max: usize) -> Result<Self, Full> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(count);
        if before < max { Ok(waiting) } else { Err(Full) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_bounded_in_number_and_in_time() {
        let bulkhead = Bulkhead::new(1, 1);
        let deadline = (tokio::time::Instant::now() + Duration::from_millis(100)).into_std();
        let held = bulkhead.enter(deadline).await;
        assert!(held.is_ok());
        let begun = tokio::time::Instant::now();
        let waits = bulkhead.enter(deadline);
        tokio::pin!(waits);
        tokio::select! {
            biased;
            _ = &mut waits => panic!("nothing was given back"),
            turned_away = bulkhead.enter(deadline) => assert!(turned_away.is_err()),
        }
        assert_eq!(
            tokio::time::Instant::now(),
            begun,
            "one more than may wait is told at once"
        );
        assert!(waits.await.is_err());
        assert_eq!(
            tokio::time::Instant::now().into_std(),
            deadline,
            "one waited, to the end"
        );
        drop(held);
        assert!(bulkhead.enter(deadline).await.is_ok());
    }
}
