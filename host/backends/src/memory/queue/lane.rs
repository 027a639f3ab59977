//! Four lanes by priority, and which of them is next.
//!
//! A more urgent entry overtakes, but every lane is served in turn: one that was passed over [`PATIENCE`] times
//! while something waited in it goes first. Inside a lane the oldest id goes first, also one that is given again.

use std::collections::BTreeSet;

use contract::queue::Priority;

/// How many entries may overtake a waiting lane before it has its turn.
pub(super) const PATIENCE: u32 = 8;

/// Ids that wait, by priority.
#[derive(Debug, Default)]
pub(super) struct Lanes([Lane; 4]);

#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<u64>,
    passed: u32,
}

impl Lanes {
    /// Lets an id wait in its lane.
    pub(super) fn push(&mut self, priority: Priority, id: u64) {
        self.lane(priority).waiting.insert(id);
    }

    /// Takes an id out of its lane, if it waits there.
    pub(super) fn remove(&mut self, priority: Priority, id: u64) {
        let lane = self.lane(priority);
        lane.waiting.remove(&id);
        if lane.waiting.is_empty() {
            lane.passed = 0;
        }
    }

    /// The id whose turn it is.
    pub(super) fn pop(&mut self) -> Option<u64> {
        let turn = self.turn()?;
        let mut id = None;
        for (index, lane) in self.0.iter_mut().enumerate() {
            if index == turn {
                id = lane.waiting.pop_first();
                lane.passed = 0;
            } else if index < turn && !lane.waiting.is_empty() {
                lane.passed += 1;
            }
        }
        id
    }

    /// The most passed over of those that lost patience, else the most urgent that is not empty.
    fn turn(&self) -> Option<usize> {
        let waiting = || self.0.iter().enumerate().filter(|(_, lane)| !lane.waiting.is_empty());
        waiting()
            .filter(|(_, lane)| lane.passed >= PATIENCE)
            .max_by_key(|(_, lane)| lane.passed)
            .or_else(|| waiting().next_back())
            .map(|(index, _)| index)
    }

    fn lane(&mut self, priority: Priority) -> &mut Lane {
        let [low, normal, high, urgent] = &mut self.0;
        match priority {
            Priority::Low => low,
            Priority::Normal => normal,
            Priority::High => high,
            Priority::Urgent => urgent,
        }
    }
}
