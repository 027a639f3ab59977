//! What components log and count, written down.

use std::cell::RefCell;
use std::collections::BTreeMap;

use guest::telemetry::Level;

/// A line of the log: its level, its message and its fields.
pub type Line = (Level, String, Vec<(String, String)>);

/// What was logged and counted.
#[derive(Debug, Default)]
pub struct Telemetry {
    lines: RefCell<Vec<Line>>,
    counters: RefCell<BTreeMap<String, u64>>,
}

impl Telemetry {
    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let line = (level, message.to_owned(), fields.to_vec());
        self.lines.borrow_mut().push(line);
    }

    pub(crate) fn count(&self, name: &str, by: u64) {
        *self.counters.borrow_mut().entry(name.to_owned()).or_default() += by;
    }

    /// The lines since the last call, in order.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.take()
    }

    /// What a counter has.
    pub fn counted(&self, name: &str) -> u64 {
        self.counters.borrow().get(name).copied().unwrap_or(0)
    }

    /// What a counter has, which begins again.
    pub fn take_counted(&self, name: &str) -> u64 {
        self.counters.borrow_mut().remove(name).unwrap_or(0)
    }
}
