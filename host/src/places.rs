//! Places for what may be under way at once, and a bound on those that wait for one. It knows nothing of what is done
//! there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// A number of places.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Places {
    /// So many places, one at least, for which so many may wait.
    pub fn new(count: usize, waiting_max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count.max(1))),
            waiting: AtomicUsize::new(0),
            waiting_max,
        }
    }

    /// A place, given back when it is dropped. None when too many wait already, or none was given back in time.
    pub async fn take(&self, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            return Some(place);
        }
        let _waiting = Waiting::enter(&self.waiting, self.waiting_max)?;
        timeout_at(deadline, self.free.clone().acquire_owned()).await.ok()?.ok()
    }
}

/// One of those that wait, until it is dropped, also when it is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let place = Self(count);
        (before < max).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ms;

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_bounded_in_number_and_in_time() {
        let places = Places::new(1, 1);
        let deadline = Instant::now() + ms(100);
        let held = places.take(deadline).await;
        assert!(held.is_some());
        let (waits, turned_away) = tokio::join!(places.take(deadline), places.take(deadline));
        assert!(waits.is_none() && turned_away.is_none());
        assert_eq!(Instant::now(), deadline, "only one waited, to the end");
        drop(held);
        assert!(places.take(deadline).await.is_some());
    }
}
