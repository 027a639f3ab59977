//! The rule by which a device shows each message exactly once and in order, whatever the network loses,
//! repeats or swaps.
//!
//! A device follows several gap-free sequences: its inbox, and each large group. Of each it knows the place
//! up to which everything was shown. A frame at the next place is shown; one at or before the place is a
//! repeat; one after it is held, for a short moment and up to a bound, because the missing one is often right
//! behind. What is still missing then is pulled. A frame that is not held is not forgotten: its place is known
//! to exist, so the sequence stays behind until a pull has passed it.
//!
//! It knows no socket, no clock and no message: the items are the caller's, and so is the time.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// One of the gap-free sequences that a device follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The inbox of the user; places are cursors.
    Inbox,
    /// A large group; places are those of its conversation.
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
    /// After which place; absent: from where the service remembers the device or the user.
    pub since: Option<u64>,
}

/// The places of a device, and the items that wait.
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
    place: Option<u64>,
    /// The highest place that is known to exist.
    latest: u64,
    /// What waits, by place; an item of none takes its place without being shown.
    held: BTreeMap<u64, Option<T>>,
    /// Since when the place next to be shown is missing.
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

    /// Follows a sequence of which everything up to this place was shown before.
    pub fn follow(&mut self, source: Source, place: u64) {
        let track = self.tracks.entry(source).or_default();
        track.place = track.place.max(Some(place));
    }

    /// Follows a sequence whose place only the service knows: it is pulled at once.
    pub fn follow_unknown(&mut self, source: Source) {
        self.tracks.entry(source).or_default().urgent = true;
        self.behind = true;
    }

    /// Follows a sequence no longer.
    pub fn forget(&mut self, source: Source) {
        self.tracks.remove(&source);
    }

    /// Up to where everything of a sequence was shown; none when that is not known yet.
    pub fn place(&self, source: Source) -> Option<u64> {
        self.tracks.get(&source).and_then(|track| track.place)
    }

    /// Whether the sequence is one of those followed.
    pub fn follows(&self, source: Source) -> bool {
        self.tracks.contains_key(&source)
    }

    /// Takes a frame. What may be shown now is appended to `shown`, in order.
    pub fn feed(&mut self, source: Source, seq: u64, item: T, now: Instant, shown: &mut Vec<T>) -> Fed {
        self.take(source, seq, Some(item), now, shown)
    }

    /// Takes the news that a sequence reaches up to a place: what is missing up to there is pulled.
    pub fn reaches(&mut self, source: Source, seq: u64, now: Instant) {
        let Some(track) = self.tracks.get_mut(&source) else {
            return;
        };
        track.latest = track.latest.max(seq);
        if track.place.is_some_and(|place| place < seq) {
            track.behind_since.get_or_insert(now);
            self.behind = true;
        }
    }

    /// Marks a place as known without showing anything: the device's own message, of which it has the receipt.
    pub fn pass(&mut self, source: Source, seq: u64, now: Instant, shown: &mut Vec<T>) -> Fed {
        self.take(source, seq, None, now, shown)
    }

    fn take(&mut self, source: Source, seq: u64, item: Option<T>, now: Instant, shown: &mut Vec<T>) -> Fed {
        let track = self.tracks.entry(source).or_default();
        let fed = track.take(seq, item, self.held_frames, now, shown);
        self.behind |= track.behind_since.is_some() || track.urgent;
        fed
    }

    /// Takes a page of a pull: the entries by place, and the place to pull from next. Gives how many entries had not
    /// been held or shown before. When the page says that there is more, the caller pulls on, from the place of
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
        track.latest = track.latest.max(track.place.unwrap_or(0).saturating_add(1));
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
                since: track.place,
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
            place: None,
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
        let Some(place) = self.place else {
            self.urgent |= !self.pulling;
            return self.hold(seq, item, most);
        };
        if seq <= place {
            return Fed::Duplicate;
        }
        if seq - place > 1 {
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
        let before = self.place.unwrap_or(0);
        let mut first = None;
        let mut fresh = 0;
        for (seq, item) in entries {
            first.get_or_insert(seq);
            if seq > before && !self.held.contains_key(&seq) {
                self.held.insert(seq, Some(item));
                fresh += 1;
            }
        }
        if self.place.is_none() {
            // The service began where the device had been. What was pushed from before that place is a
            // repeat of what an earlier run of the device has shown.
            let begin = first.unwrap_or(next.saturating_add(1));
            self.held = self.held.split_off(&begin);
        }
        self.pulling = more;
        self.advance(before.max(next), now, shown);
        fresh
    }

    /// Everything up to this place is settled: shows what waited at or right behind it. The place that is
    /// missing next, if any, has its own moment to come.
    fn advance(&mut self, place: u64, now: Instant, shown: &mut Vec<T>) {
        let mut place = place;
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > place.saturating_add(1) {
                break;
            }
            place = place.max(*entry.key());
            shown.extend(entry.remove());
        }
        self.place = Some(place);
        self.latest = self.latest.max(place);
        self.behind_since = (self.latest > place).then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Fed, Inbox, Pull, Source};

    const HOLD: Duration = Duration::from_millis(50);
    const HELD: usize = 16;
    const INBOX: Source = Source::Inbox;

    fn inbox() -> Inbox<u64> {
        let mut inbox = Inbox::new(HOLD, HELD);
        inbox.follow(INBOX, 0);
        inbox
    }

    #[test]
    fn frames_in_order_are_shown_and_repeats_are_not() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
        assert_eq!(inbox.feed(INBOX, 1, 1, now, &mut shown), Fed::Shown);
        assert_eq!(inbox.feed(INBOX, 2, 2, now, &mut shown), Fed::Shown);
        assert_eq!(inbox.feed(INBOX, 1, 1, now, &mut shown), Fed::Duplicate);
        assert_eq!((shown, inbox.due(now + HOLD)), (vec![1, 2], None));
    }

    #[test]
    fn swapped_frames_are_shown_in_order_without_a_pull() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
        assert_eq!(inbox.feed(INBOX, 2, 2, now, &mut shown), Fed::Held);
        assert_eq!(inbox.feed(INBOX, 2, 2, now, &mut shown), Fed::Duplicate);
        assert_eq!(inbox.due(now), None);
        assert_eq!(inbox.feed(INBOX, 1, 1, now, &mut shown), Fed::Shown);
        assert_eq!((shown, inbox.due(now + HOLD)), (vec![1, 2], None));
    }

    #[test]
    fn news_of_a_place_beyond_is_a_gap_and_news_of_a_known_one_is_none() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
        inbox.feed(INBOX, 1, 1, now, &mut shown);
        inbox.reaches(INBOX, 1, now);
        assert_eq!(inbox.due(now + HOLD), None);
        inbox.reaches(INBOX, 2, now);
        let pull = Pull {
            source: INBOX,
            since: Some(1),
        };
        assert_eq!(inbox.due(now + HOLD), Some(pull));
    }

    #[test]
    fn a_gap_that_lasts_is_pulled_once() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
        inbox.feed(INBOX, 3, 3, now, &mut shown);
        assert_eq!(
            inbox.due(now + HOLD),
            Some(Pull {
                source: INBOX,
                since: Some(0)
            })
        );
        assert_eq!(inbox.due(now + HOLD * 9), None, "one pull is under way");
        inbox.page(INBOX, [(1, 1), (2, 2), (3, 3)], 3, false, now, &mut shown);
        assert_eq!((shown, inbox.due(now + HOLD * 9)), (vec![1, 2, 3], None));
    }

    #[test]
    fn an_own_message_takes_its_place_without_being_shown() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
        inbox.feed(INBOX, 2, 2, now, &mut shown);
        assert_eq!(inbox.pass(INBOX, 1, now, &mut shown), Fed::Shown);
        assert_eq!(inbox.pass(INBOX, 3, now, &mut shown), Fed::Shown);
        assert_eq!((shown, inbox.place(INBOX)), (vec![2], Some(3)));
    }

    #[test]
    fn places_that_a_page_passes_are_not_waited_for() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
        inbox.feed(INBOX, 5, 5, now, &mut shown);
        inbox.page(INBOX, [(2, 2)], 4, false, now, &mut shown);
        assert_eq!(
            (shown, inbox.place(INBOX), inbox.due(now + HOLD)),
            (vec![2, 5], Some(5), None)
        );
    }

    #[test]
    fn the_first_page_tells_the_place_and_drops_what_was_shown_before() {
        let (mut inbox, now, mut shown) = (Inbox::new(HOLD, HELD), Instant::now(), Vec::new());
        inbox.follow_unknown(INBOX);
        assert_eq!(
            inbox.feed(INBOX, 7, 7, now, &mut shown),
            Fed::Held,
            "a push of what this device has had"
        );
        assert_eq!(inbox.feed(INBOX, 11, 11, now, &mut shown), Fed::Held);
        assert_eq!(
            inbox.due(now),
            Some(Pull {
                source: INBOX,
                since: None
            })
        );
        inbox.page(INBOX, [(10, 10)], 10, false, now, &mut shown);
        assert_eq!((shown, inbox.place(INBOX)), (vec![10, 11], Some(11)));
    }

    #[test]
    fn what_was_not_held_is_pulled_even_when_nothing_follows() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
        let last = HELD as u64 + 2;
        for seq in 2..last {
            assert_eq!(inbox.feed(INBOX, seq, seq, now, &mut shown), Fed::Held);
        }
        assert_eq!(inbox.feed(INBOX, last, last, now, &mut shown), Fed::Gap);
        assert!(inbox.due(now).is_some());
        inbox.page(INBOX, [(1, 1)], 1, false, now, &mut shown);
        assert_eq!(inbox.place(INBOX), Some(last - 1));
        assert_eq!(
            inbox.due(now + HOLD),
            Some(Pull {
                source: INBOX,
                since: Some(last - 1)
            })
        );
    }

    #[test]
    fn a_new_connection_pulls_everything_once() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::<u64>::new());
        inbox.follow(Source::Group(4), 9);
        inbox.distrust();
        let pulls: BTreeSet<_> = [inbox.due(now), inbox.due(now)]
            .map(|pull| pull.and_then(|pull| pull.since))
            .into();
        assert_eq!(pulls, [Some(0), Some(9)].into());
        assert_eq!(inbox.due(now), None);
        inbox.page(INBOX, [], 0, false, now, &mut shown);
        inbox.pull_failed(Source::Group(4), now);
        assert_eq!(inbox.due(now), None);
        assert_eq!(
            inbox.due(now + HOLD),
            Some(Pull {
                source: Source::Group(4),
                since: Some(9)
            })
        );
    }

    #[test]
    fn a_doubt_during_a_pull_pulls_once_more_after_it() {
        let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::<u64>::new());
        inbox.doubt();
        assert!(inbox.due(now).is_some());
        inbox.doubt();
        assert_eq!(inbox.due(now), None, "one pull is under way");
        inbox.page(INBOX, [], 0, false, now, &mut shown);
        assert!(inbox.due(now).is_some());
        inbox.page(INBOX, [], 0, false, now, &mut shown);
        assert_eq!(inbox.due(now), None);
    }

    /// What the network does to the frames of a sequence.
    #[derive(Debug, Clone)]
    enum Event {
        /// The frame of some place arrives: in order, late, early, again, or never.
        Frame(u64),
        /// Time passes, and whatever is due is pulled, with pages of this size.
        Pull(usize),
        /// The connection is replaced.
        Reconnect,
    }

    fn events(length: u64) -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            8 => (1..=length).prop_map(Event::Frame),
            2 => (1..9_usize).prop_map(Event::Pull),
            1 => Just(Event::Reconnect),
        ];
        proptest::collection::vec(event, 0..200)
    }

    proptest! {
        /// Any order, repeats and losses: with pulls, each is shown once, in order.
        #[test]
        fn each_is_shown_once_in_order(
            events in events(60),
            own in proptest::collection::btree_set(1..=60_u64, 0..20),
            start in prop_oneof![Just(None), (0..60_u64).prop_map(Some)],
            known in any::<bool>(),
        ) {
            let mut device = Device::new(60, own, start.unwrap_or(0), known);
            for event in events {
                device.meet(&event);
            }
            // The last frame arrives in any case, or the connection is replaced: then all is pulled.
            device.meet(&Event::Reconnect);
            device.settle(3);
            let expected: Vec<u64> =
                (start.unwrap_or(0) + 1..=60).filter(|seq| !device.own.contains(seq)).collect();
            prop_assert_eq!(&device.shown, &expected);
            prop_assert_eq!(device.inbox.place(INBOX), Some(60));
        }
    }

    struct Device {
        inbox: Inbox<u64>,
        now: Instant,
        shown: Vec<u64>,
        length: u64,
        own: BTreeSet<u64>,
        start: u64,
    }

    impl Device {
        fn new(length: u64, own: BTreeSet<u64>, start: u64, known: bool) -> Self {
            let mut inbox = Inbox::new(HOLD, HELD);
            match known {
                true => inbox.follow(INBOX, start),
                false => inbox.follow_unknown(INBOX),
            }
            Self {
                inbox,
                now: Instant::now(),
                shown: Vec::new(),
                length,
                own,
                start,
            }
        }

        fn meet(&mut self, event: &Event) {
            match event {
                Event::Frame(seq) if self.own.contains(seq) => {
                    // A receipt comes to the device that sends, after it knows its place.
                    self.inbox.pass(INBOX, *seq, self.now, &mut self.shown);
                }
                Event::Frame(seq) => {
                    self.inbox.feed(INBOX, *seq, *seq, self.now, &mut self.shown);
                }
                Event::Pull(size) => self.settle(*size),
                Event::Reconnect => self.inbox.distrust(),
            }
        }

        /// The service passes own messages without an entry, as it may.
        fn settle(&mut self, size: usize) {
            self.now += HOLD;
            while let Some(pull) = self.inbox.due(self.now) {
                let mut since = pull.since.unwrap_or(self.start);
                loop {
                    let next = self.length.min(since + size as u64);
                    let entries = (since + 1..=next)
                        .filter(|seq| !self.own.contains(seq))
                        .map(|seq| (seq, seq));
                    let more = next < self.length;
                    self.inbox.page(INBOX, entries, next, more, self.now, &mut self.shown);
                    if !more {
                        break;
                    }
                    since = self.inbox.place(INBOX).unwrap_or(next);
                }
            }
        }
    }
}
