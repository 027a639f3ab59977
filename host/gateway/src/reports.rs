//! Delivery reports: the ids of tracked notifications that sockets took, collected until they are reported.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Ids that wait to be reported.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    ids: Mutex<Vec<u64>>,
    some: Notify,
}

impl Reports {
    pub(crate) fn add(&self, ids: Vec<u64>) {
        if ids.is_empty() {
            return;
        }
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        self.some.notify_one();
    }

    /// Waits until there is something.
    pub(crate) async fn some(&self) {
        self.some.notified().await;
    }

    /// All of them, each once.
    pub(crate) fn take(&self) -> Vec<u64> {
        let mut ids = std::mem::take(&mut *self.ids.lock().unwrap_or_else(PoisonError::into_inner));
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
