//! A bounded line of jobs between the callers and the threads that serve them.
//!
//! Refuses what does not fit, at once. Knows nothing of what waits in it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many wait as may.
    Full,
    /// Nobody serves any more.
    Closed,
}

/// Jobs that wait, first in, first out.
pub(super) struct Backlog<T> {
    side: &'static str,
    bound: usize,
    line: Mutex<Line<T>>,
    arrived: Condvar,
    depth: metrics::Gauge,
}

struct Line<T> {
    waiting: VecDeque<T>,
    /// How many must wait before it is worth waking one who serves.
    wanted: usize,
    closed: bool,
    consumers: usize,
}

impl<T> Backlog<T> {
    /// A line for at most `bound` jobs; `side` labels its depth in the metrics.
    pub(super) fn new(side: &'static str, bound: usize) -> Arc<Self> {
        let line = Line {
            waiting: VecDeque::new(),
            wanted: 1,
            closed: false,
            consumers: 0,
        };
        Arc::new(Self {
            side,
            bound: bound.max(1),
            line: Mutex::new(line),
            arrived: Condvar::new(),
            depth: metrics::gauge!("mpim_sql_queue_depth", "backend" => "sqlite", "side" => side),
        })
    }

    /// Lets a job wait; gives it up when it does not fit.
    pub(super) fn push(&self, job: T) -> Result<(), Refused> {
        let mut line = self.lock();
        if line.closed {
            return Err(Refused::Closed);
        }
        if line.waiting.len() >= self.bound {
            return Err(Refused::Full);
        }
        line.waiting.push_back(job);
        let worth_it = line.waiting.len() >= line.wanted;
        self.report(&line);
        drop(line);
        if worth_it {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Ends the line: nothing more is taken, what waits is still served.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// One who serves. When the last of them is gone the line is closed and what waits is dropped, so that no
    /// caller waits for nobody.
    pub(super) fn consumer(self: &Arc<Self>) -> Consumer<T> {
        self.lock().consumers += 1;
        Consumer(Arc::clone(self))
    }

    fn lock(&self) -> MutexGuard<'_, Line<T>> {
        // The line is whole between any two statements here: a panic elsewhere does not spoil it.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::cast_precision_loss, reason = "a depth is far below 2^52")]
    fn report(&self, line: &Line<T>) {
        self.depth.set(line.waiting.len() as f64);
    }
}

impl<T> fmt::Debug for Backlog<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Backlog")
            .field("side", &self.side)
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

/// Takes jobs from a [`Backlog`].
pub(super) struct Consumer<T>(Arc<Backlog<T>>);

impl<T> Consumer<T> {
    /// Waits for a job and takes it with up to `max - 1` that wait behind it. None: the line ended.
    pub(super) fn take(&self, max: usize) -> Option<Vec<T>> {
        let mut line = self.0.lock();
        while line.waiting.is_empty() {
            if line.closed {
                return None;
            }
            line = self.0.arrived.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        let count = line.waiting.len().min(max.max(1));
        let jobs = line.waiting.drain(..count).collect();
        self.0.report(&line);
        Some(jobs)
    }
}

/// Where the only one who serves waits for a group of jobs before it takes them.
impl<T> Consumer<T> {
    /// Waits until `wanted` jobs wait, or for `at_most`. What waits stays in line.
    pub(super) fn wait_for_group(&self, wanted: usize, at_most: Duration) {
        let mut line = self.0.lock();
        line.wanted = wanted.min(self.0.bound);
        let few = |line: &mut Line<T>| line.waiting.len() < line.wanted && !line.closed;
        let waited = self.0.arrived.wait_timeout_while(line, at_most, few);
        line = waited.unwrap_or_else(PoisonError::into_inner).0;
        line.wanted = 1;
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        let mut line = self.0.lock();
        line.consumers = line.consumers.saturating_sub(1);
        if line.consumers == 0 {
            line.closed = true;
            line.waiting.clear();
        }
    }
}
