//! One member of the performance and what it has: its part of the lines, its inbox, what it waits for. What becomes of the
//! frames that it hears stands in [`super::hearing`], what it does in [`super::performing`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::cursor::{Inbox, Pull, Source};

use super::figures::Counts;
use super::ledger::Tally;
use super::play::{Circle, Slot};
use super::stage::Stage;

/// How long a frame waits for a missing one before that is pulled. On a server at its limit the receipt of an own
/// message overtakes the pushes of those before it by more than a moment: to pull them all would only add to its load.
const HOLD: Duration = Duration::from_secs(1);
/// Plenty, for what is held is small: under load a pull takes long and much is pushed meanwhile.
const HELD_FRAMES: usize = 4096;
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(20);
pub(super) const BACKOFF_MOST: Duration = Duration::from_secs(1);

/// A message of the performance that reached this member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) slot: Slot,
    pub(super) seq: u32,
    pub(super) own: bool,
}

/// A send without a receipt yet.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub(super) refusals: u32,
    /// When it is made again, after the service was too full for it.
    pub(super) retry_at: Option<Instant>,
}

/// What an answer will belong to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// The send of this number.
    Send(usize),
    /// A page.
    Pull(Source),
    /// An acknowledgement or a cursor.
    Mark,
}

/// A member and what it has.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stage: Arc<Stage>,
    pub(super) index: usize,
    pub(super) token: String,
    /// Which of the servers it is at.
    pub(super) server: usize,
    pub(super) inbox: Inbox<Arrival>,
    pub(super) tallies: [Tally; 2],
    /// The send to be made next: each line is two sends, in order.
    pub(super) next: usize,
    /// Behind which sends the connection drops.
    pub(super) drops: VecDeque<usize>,
    pub(super) in_flight: BTreeMap<usize, Flight>,
    pub(super) asked: HashMap<u64, Asked>,
    /// Pages that follow others.
    pub(super) more: Vec<Pull>,
    pub(super) shown: Vec<Arrival>,
    pub(super) acked: u64,
    pub(super) signed_off: bool,
    pub(super) finished: bool,
    pub(super) heard_at: Instant,
    pub(super) counts: Counts,
}

/// What a member leaves behind.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) index: usize,
    pub(super) tallies: [Tally; 2],
    pub(super) unanswered: usize,
    pub(super) counts: Counts,
}

impl Member {
    /// A member that has heard nothing yet.
    pub(super) fn new(stage: Arc<Stage>, index: usize, token: String, drops: impl Fn(usize) -> bool) -> Self {
        let mut inbox = Inbox::new(HOLD, HELD_FRAMES);
        inbox.follow(Source::Inbox, 0);
        for circle in Circle::BOTH {
            let group = stage.groups.of(index, circle);
            if group.large {
                inbox.follow(Source::Group(group.id), 0);
            }
        }
        let lines = stage.play.lines_of(index).iter().enumerate();
        let drops = lines
            .filter(|(_, line)| drops(**line))
            .map(|(ordinal, _)| ordinal * 2 + 1)
            .collect();
        let tallies = Circle::BOTH.map(|circle| Tally::new(stage.play.messages(index, circle)));
        Self {
            stage,
            index,
            token,
            server: index,
            inbox,
            tallies,
            next: 0,
            drops,
            in_flight: BTreeMap::new(),
            asked: HashMap::new(),
            more: Vec::new(),
            shown: Vec::new(),
            acked: 0,
            signed_off: false,
            finished: false,
            heard_at: Instant::now(),
            counts: Counts::default(),
        }
    }

    pub(super) fn leave(self) -> Leaving {
        Leaving {
            index: self.index,
            tallies: self.tallies,
            unanswered: self.in_flight.len(),
            counts: self.counts,
        }
    }

    /// Which message the send of a number is.
    pub(super) fn slot(&self, number: usize) -> Option<Slot> {
        let circle = if number.is_multiple_of(2) {
            Circle::All
        } else {
            Circle::Slice
        };
        self.stage
            .play
            .lines_of(self.index)
            .get(number / 2)
            .map(|line| Slot::of(*line, circle))
    }

    /// Whether everything was said and heard.
    pub(super) fn is_complete(&self) -> bool {
        self.in_flight.is_empty()
            && self.tallies.iter().all(Tally::is_complete)
            && self.next >= self.stage.play.lines_of(self.index).len() * 2
    }

    /// What this member is called in a difference.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.stage.run, self.index)
    }

    /// Something about this member is not as it must be.
    pub(super) fn differ(&self, difference: &str) {
        self.stage.ledger.differ(format!("{} {difference}", self.name()));
    }
}
