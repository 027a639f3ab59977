//! The moment after which a running statement is stopped, seen by SQLite between its instructions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rusqlite::Connection;

/// Instructions of SQLite between two looks at the clock: some tens of microseconds.
const INSTRUCTIONS: i32 = 4000;

const NEVER: u64 = u64::MAX;

/// Stops statements of one connection; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Alarm {
    start: Instant,
    rings_at_us: Arc<AtomicU64>,
}

impl Alarm {
    /// Puts an alarm on a connection; it rings never until it is set.
    pub(super) fn install(connection: &mut Connection) -> rusqlite::Result<Self> {
        let alarm = Self {
            start: Instant::now(),
            rings_at_us: Arc::new(AtomicU64::new(NEVER)),
        };
        let watched = alarm.clone();
        connection.progress_handler(INSTRUCTIONS, Some(move || watched.rings()))?;
        Ok(alarm)
    }

    /// Statements that run after this moment end with a timeout.
    pub(super) fn set(&self, at: Instant) {
        let after_us = at.saturating_duration_since(self.start).as_micros();
        self.rings_at_us
            .store(u64::try_from(after_us).unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// Statements may run on: those of the writer itself must not be stopped halfway.
    pub(super) fn clear(&self) {
        self.rings_at_us.store(NEVER, Ordering::Relaxed);
    }

    fn rings(&self) -> bool {
        let at_us = self.rings_at_us.load(Ordering::Relaxed);
        at_us != NEVER && self.start.elapsed().as_micros() >= u128::from(at_us)
    }
}
