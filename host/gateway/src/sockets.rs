//! How many sockets there are, and how many there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many sockets there are.
pub(crate) struct Sockets {
    count: AtomicUsize,
    closed: Notify,
    most: usize,
}

impl Sockets {
    /// So many at most.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            count: AtomicUsize::new(0),
            closed: Notify::new(),
            most,
        }
    }

    /// Counts one more; none when there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Guard> {
        let before = self.count.fetch_add(1, Ordering::AcqRel);
        let guard = Guard(self.clone());
        metrics::gauge!("mpim_gateway_sockets").increment(1.0);
        (before < self.most).then_some(guard)
    }

    /// Waits until there is none.
    pub(crate) async fn none(&self) {
        loop {
            let closed = self.closed.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// Counts a socket for as long as it is there.
pub(crate) struct Guard(Arc<Sockets>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.closed.notify_waiters();
        metrics::gauge!("mpim_gateway_sockets").decrement(1.0);
    }
}
