//! The rule of a device for one sequence without gaps: its inbox, or a large group.
//!
//! Pure. The next place is shown, a former one is a repeat, one beyond waits for those before it, and what does not
//! come is pulled. It is written anew here, so that it checks the clients of the project instead of trusting them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::harness::accounts::Entry;

/// How long a frame waits for the ones before it until they are pulled.
const HOLD: Duration = Duration::from_millis(60);

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) message: u64,
    pub(super) conversation: u64,
    pub(super) seq: u64,
    pub(super) sender: u64,
    /// Which of the things that its sender said in the conversation, the first is 0.
    pub(super) ordinal: u64,
}

/// How far a device is in a sequence.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) place: u64,
    /// What was shown, in the order in which it was.
    pub(super) entries: Vec<Entry>,
    held: BTreeMap<u64, Arrival>,
    pub(super) pulling: bool,
    pull_at: Option<Instant>,
    /// The last that was heard, for whoever must find out why something is missing.
    pub(super) heard: VecDeque<Heard>,
}

/// Something that was heard, and how far the device was before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Push { at: u64, place: u64 },
    Page { at: u64, places: Vec<u64>, next: u64 },
}

/// How much of what was heard is remembered.
const HEARD: usize = 24;

impl Track {
    /// Takes what came at a place. Gives what may be shown now; nothing at all for a repeat.
    pub(super) fn take(&mut self, place: u64, arrival: Arrival, now: Instant) -> Option<Vec<Arrival>> {
        self.note(Heard::Push { at: self.place, place });
        if place <= self.place || self.held.contains_key(&place) {
            return None;
        }
        self.held.insert(place, arrival);
        Some(self.advance(self.place, now))
    }

    /// Takes a page; gives what may be shown, and how many of its entries were there before.
    pub(super) fn page(&mut self, entries: Vec<(u64, Arrival)>, next: u64, now: Instant) -> (Vec<Arrival>, u64) {
        let places = entries.iter().map(|(place, _)| *place).collect();
        let at = self.place;
        self.note(Heard::Page { at, places, next });
        let mut repeats = 0;
        for (place, arrival) in entries {
            if place <= self.place || self.held.insert(place, arrival).is_some() {
                repeats += 1;
            }
        }
        (self.advance(self.place.max(next), now), repeats)
    }

    fn note(&mut self, heard: Heard) {
        if self.heard.len() == HEARD {
            self.heard.pop_front();
        }
        self.heard.push_back(heard);
    }

    /// Takes the news that the sequence reaches up to a place.
    pub(super) fn reaches(&mut self, place: u64, now: Instant) {
        if place > self.place {
            self.pull_at.get_or_insert(now + HOLD);
        }
    }

    /// Asks for a pull at a time, or earlier if one is due earlier.
    pub(super) fn pull_by(&mut self, time: Instant) {
        self.pull_at = Some(self.pull_at.map_or(time, |at| at.min(time)));
    }

    /// Whether to pull now; then a pull is under way.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.pulling || self.pull_at.is_none_or(|at| at > now) {
            return false;
        }
        self.pulling = true;
        self.pull_at = None;
        true
    }

    /// Everything up to a place is settled.
    fn advance(&mut self, settled: u64, now: Instant) -> Vec<Arrival> {
        let mut shown = Vec::new();
        self.place = settled;
        while let Some(entry) = self.held.first_entry() {
            let place = *entry.key();
            if place > self.place + 1 {
                break;
            }
            self.place = self.place.max(place);
            let arrival = entry.remove();
            self.entries.push((place, arrival.message));
            shown.push(arrival);
        }
        if !self.held.is_empty() {
            self.pull_at.get_or_insert(now + HOLD);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(message: u64) -> Arrival {
        Arrival {
            message,
            conversation: 1,
            seq: message,
            sender: 1,
            ordinal: message,
        }
    }

    fn messages(shown: Vec<Arrival>) -> Vec<u64> {
        shown.into_iter().map(|arrival| arrival.message).collect()
    }

    #[test]
    fn swapped_frames_are_shown_in_order_and_repeats_are_not() {
        let (mut track, now) = (Track::default(), Instant::now());
        assert_eq!(track.take(2, arrival(2), now).map(messages), Some(vec![]));
        assert_eq!(track.take(2, arrival(2), now), None);
        assert_eq!(track.take(1, arrival(1), now).map(messages), Some(vec![1, 2]));
        assert_eq!(track.take(1, arrival(1), now), None);
        assert_eq!(track.entries, [(1, 1), (2, 2)]);
    }

    #[test]
    fn a_gap_that_lasts_is_pulled_once_and_a_page_fills_it() {
        let (mut track, now) = (Track::default(), Instant::now());
        track.take(3, arrival(3), now);
        assert!(!track.is_due(now));
        assert!(track.is_due(now + HOLD) && !track.is_due(now + HOLD));
        let entries = (1..=3).map(|place| (place, arrival(place))).collect();
        let (shown, repeats) = track.page(entries, 3, now);
        assert_eq!((messages(shown), repeats, track.place), (vec![1, 2, 3], 1, 3));
    }

    #[test]
    fn places_that_a_page_passes_are_not_waited_for() {
        let (mut track, now) = (Track::default(), Instant::now());
        track.take(5, arrival(5), now);
        let (shown, _) = track.page(vec![(2, arrival(2))], 4, now);
        assert_eq!((messages(shown), track.place), (vec![2, 5], 5));
    }
}
