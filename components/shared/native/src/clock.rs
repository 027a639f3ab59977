//! The time of a world: it stands still until a test moves it.

use std::cell::Cell;
use std::rc::Rc;

/// When a world begins: milliseconds since the epoch, in November 2023.
pub const BEGINNING_MS: u64 = 1_700_000_000_000;

/// A clock that a test moves; whatever has it sees the same time.
#[derive(Debug, Clone)]
pub struct Clock(Rc<Cell<u64>>);

impl Default for Clock {
    fn default() -> Self {
        Self(Rc::new(Cell::new(BEGINNING_MS)))
    }
}

impl Clock {
    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.0.get()
    }

    /// Goes to a time, which may lie back.
    pub fn set_ms(&self, now_ms: u64) {
        self.0.set(now_ms);
    }

    /// Goes forward.
    pub fn advance_ms(&self, by_ms: u64) {
        self.0.set(self.0.get().saturating_add(by_ms));
    }

    /// When something ends that lives for a while from now on.
    pub(crate) fn after_ms(&self, ttl_ms: u64) -> u64 {
        self.now_ms().saturating_add(ttl_ms)
    }
}
