//! The rule by which a device shows each message exactly once and in order, whatever the network loses,
//! repeats or swaps.
//!
//! A device follows several gap-free sequences: its inbox, and each large group. Of each it knows the position
//! up to which everything was shown. A frame at the next position is shown; one at or before its own is a
//! repeat; one after it is held, for a short moment and up to a bound, because the missing one is often right
//! behind. What is still missing then is pulled. A frame that is not held is not forgotten: its position is known
//! to exist, so the sequence stays behind until a pull has passed it.
//!
//! It knows no socket, no clock and no message: the items are the caller's, and so is the time.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// One of the gap-free sequences that a device follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The inbox of the user; positions are cursors.
    Inbox,
    /// A large group; positions are the sequence numbers of its conversation.
    Group(u64),
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// It was shown, and with it what had waited for it.
    Shown,
    /// It had been shown or held before.
    Duplicate,
    /// It waits for the ones before it.
    Held,
    /// It was not kept: a pull will bring it.
    Gap,
}

/// A pull that the caller has to make now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pull {
    /// What to pull.
    pub source: Source,
    /// After which position; absent: from where the service remembers the device or the user.
    pub since: Option<u64>,
}

/// The positions of a device, and the items that wait.
#[derive(Debug)]
pub struct Inbox<T> {
    tracks: HashMap<Source, Track<T>>,
    hold: Duration,
    held_frames: usize,
    /// Whether any sequence may need a pull: keeps [`Inbox::due`] cheap when all is well.
    behind: bool,
}

#[derive(Debug)]
struct Track<T> {
    /// Everything up to here was shown; none before the first page told it.
    position: Option<u64>,
    /// The highest position that is known to exist.
    latest: u64,
    /// What waits, by position; an item of none takes its position without being shown.
    held: BTreeMap<u64, Option<T>>,
    /// Since when the position next to be shown is missing.
    behind_since: Option<Instant>,
    /// Whether a pull is due without waiting.
    urgent: bool,
    pulling: bool,
}

impl<T> Inbox<T> {
    /// A device that follows nothing yet. It holds frames for this long before it pulls, and of each sequence so
    /// many: a pull brings what is beyond.
    pub fn new(hold: Duration, held_frames: usize) -> Self {
        Self {
            tracks: HashMap::new(),
            hold,
            held_frames,
            behind: false,
        }
    }

    /// Follows a sequence of which everything up to this position was shown before.
    pub fn follow(&mut self, source: Source, position: u64) {
        let track = self.tracks.entry(source).or_default();
        track.position = track.position.max(Some(position));
    }

    /// Follows a sequence whose position only the service knows: it is pulled at once.
    pub fn follow_unknown(&mut self, source: Source) {
        self.tracks.entry(source).or_default().urgent = true;
        self.behind = true;
    }

    /// Follows a sequence no longer.
    pub fn forget(&mut self, source: Source) {
        self.tracks.remove(&source);
    }

    /// Up to where everything of a sequence was shown; none when that is not known yet.
    pub fn position(&self, source: Source) -> Option<u64> {
        self.tracks.get(&source).and_then(|track| track.position)
    }

    /// Whether the sequence is one of those followed.
    pub fn follows(&self, source: Source) -> bool {
        self.tracks.contains_key(&source)
    }

    /// Takes a frame. What may be shown now is appended to `shown`, in order.
    pub fn feed(&mut self, source: Source, seq: u64, item: T, now: Instant, shown: &mut Vec<T>) -> Fed {
        self.take(source, seq, Some(item), now, shown)
    }

    /// Takes the news that a sequence reaches up to a position: what is missing up to there is pulled.
    pub fn reaches(&mut self, source: Source, seq: u64, now: Instant) {
        let Some(track) = self.tracks.get_mut(&source) else {
            return;
        };
        track.latest = track.latest.max(seq);
        if track.position.is_some_and(|position| position < seq) {
            track.behind_since.get_or_insert(now);
            self.behind = true;
        }
    }

    /// Marks a position as known without showing anything: the device's own message, of which it has the receipt.
    pub fn pass(&mut self, source: Source, seq: u64, now: Instant, shown: &mut Vec<T>) -> Fed {
        self.take(source, seq, None, now, shown)
    }

    fn take(&mut self, source: Source, seq: u64, item: Option<T>, now: Instant, shown: &mut Vec<T>) -> Fed {
        let track = self.tracks.entry(source).or_default();
        let fed = track.take(seq, item, self.held_frames, now, shown);
        self.behind |= track.behind_since.is_some() || track.urgent;
        fed
    }

    /// Takes a page of a pull: the entries by position, and the position to pull from next. Gives how many entries had not
    /// been held or shown before. When the page says that there is more, the caller pulls on, from the position of
    /// the sequence: what was held may have brought it further than the page.
    pub fn page(
        &mut self,
        source: Source,
        entries: impl IntoIterator<Item = (u64, T)>,
        next: u64,
        more: bool,
        now: Instant,
        shown: &mut Vec<T>,
    ) -> usize {
        let track = self.tracks.entry(source).or_default();
        let fresh = track.page(entries, next, more, now, shown);
        self.behind |= track.behind_since.is_some() || track.urgent;
        fresh
    }

    /// A pull failed: it is made again after a moment.
    pub fn pull_failed(&mut self, source: Source, now: Instant) {
        let track = self.tracks.entry(source).or_default();
        track.pulling = false;
        track.latest = track.latest.max(track.position.unwrap_or(0).saturating_add(1));
        track.behind_since = Some(now);
        self.behind = true;
    }

    /// Anything may have been missed: every sequence is pulled, once. Pulls under way are forgotten.
    pub fn distrust(&mut self) {
        for track in self.tracks.values_mut() {
            track.pulling = false;
            track.urgent = true;
        }
        self.behind = !self.tracks.is_empty();
    }

    /// Anything may have been missed on a connection that lives on: every sequence is pulled once more, after the
    /// pulls that are under way.
    pub fn doubt(&mut self) {
        for track in self.tracks.values_mut() {
            track.urgent = true;
        }
        self.behind = !self.tracks.is_empty();
    }

    /// The next pull to make, if one is due; it counts as under way from then on. Ask until there is none.
    pub fn due(&mut self, now: Instant) -> Option<Pull> {
        if !self.behind {
            return None;
        }
        let hold = self.hold;
        let found = self.tracks.iter_mut().find(|(_, track)| track.is_due(now, hold));
        if let Some((source, track)) = found {
            track.pulling = true;
            track.urgent = false;
            return Some(Pull {
                source: *source,
                since: track.position,
            });
        }
        let behind = |track: &Track<T>| track.behind_since.is_some() || track.urgent;
        self.behind = self.tracks.values().any(behind);
        None
    }
}

impl<T> Default for Track<T> {
    fn default() -> Self {
        Self {
            position: None,
            latest: 0,
            held: BTreeMap::new(),
            behind_since: None,
            urgent: false,
            pulling: false,
        }
    }
}

impl<T> Track<T> {
    fn is_due(&self, now: Instant, hold: Duration) -> bool {
        let waited = self.behind_since.is_some_and(|since| now.duration_since(since) >= hold);
        !self.pulling && (self.urgent || waited)
    }

    fn take(&mut self, seq: u64, item: Option<T>, most: usize, now: Instant, shown: &mut Vec<T>) -> Fed {
        let Some(position) = self.position else {
            self.urgent |= !self.pulling;
            return self.hold(seq, item, most);
        };
        if seq <= position {
            return Fed::Duplicate;
        }
        if seq - position > 1 {
            self.behind_since.get_or_insert(now);
            return self.hold(seq, item, most);
        }
        shown.extend(item);
        self.advance(seq, now, shown);
        Fed::Shown
    }

    fn hold(&mut self, seq: u64, item: Option<T>, most: usize) -> Fed {
        self.latest = self.latest.max(seq);
        if self.held.contains_key(&seq) {
            return Fed::Duplicate;
        }
        if self.held.len() >= most {
            self.urgent |= !self.pulling;
            return Fed::Gap;
        }
        self.held.insert(seq, item);
        Fed::Held
    }

    fn page(
        &mut self,
        entries: impl IntoIterator<Item = (u64, T)>,
        next: u64,
        more: bool,
        now: Instant,
        shown: &mut Vec<T>,
    ) -> usize {
        let before = self.position.unwrap_or(0);
        let mut first = None;
        let mut fresh = 0;
        for (seq, item) in entries {
            first.get_or_insert(seq);
            if seq > before && !self.held.contains_key(&seq) {
                self.held.insert(seq, Some(item));
                fresh += 1;
            }
        }
        if self.position.is_none() {
            // The service began where the device had been. What was pushed from before that position is a
            // repeat of what an earlier run of the device has shown.
            let begin = first.unwrap_or(next.saturating_add(1));
            self.held = self.held.split_off(&begin);
        }
        self.pulling = more;
        self.advance(before.max(next), now, shown);
        fresh
    }

    /// Everything up to this position is settled: shows what waited at or right behind it. The position that is
    /// missing next, if any, has its own moment to come.
    fn advance(&mut self, position: u64, now: Instant, shown: &mut Vec<T>) {
        let mut position = position;
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > position.saturating_add(1) {
                break;
            }
            position = position.max(*entry.key());
            shown.extend(entry.remove());
        }
        self.position = Some(position);
        self.latest = self.latest.max(position);
        self.behind_since = (self.latest > position).then_some(now);
    }
}

#[cfg(test)]
mod tests;
