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
fn news_of_a_position_beyond_is_a_gap_and_news_of_a_known_one_is_none() {
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
fn an_own_message_takes_its_position_without_being_shown() {
    let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
    inbox.feed(INBOX, 2, 2, now, &mut shown);
    assert_eq!(inbox.pass(INBOX, 1, now, &mut shown), Fed::Shown);
    assert_eq!(inbox.pass(INBOX, 3, now, &mut shown), Fed::Shown);
    assert_eq!((shown, inbox.position(INBOX)), (vec![2], Some(3)));
}

#[test]
fn positions_that_a_page_passes_are_not_waited_for() {
    let (mut inbox, now, mut shown) = (inbox(), Instant::now(), Vec::new());
    inbox.feed(INBOX, 5, 5, now, &mut shown);
    inbox.page(INBOX, [(2, 2)], 4, false, now, &mut shown);
    assert_eq!(
        (shown, inbox.position(INBOX), inbox.due(now + HOLD)),
        (vec![2, 5], Some(5), None)
    );
}

#[test]
fn the_first_page_tells_the_position_and_drops_what_was_shown_before() {
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
    assert_eq!((shown, inbox.position(INBOX)), (vec![10, 11], Some(11)));
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
    assert_eq!(inbox.position(INBOX), Some(last - 1));
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
    /// The frame of some position arrives: in order, late, early, again, or never.
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
        prop_assert_eq!(device.inbox.position(INBOX), Some(60));
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
                // A receipt comes to the device that sends, after it knows its position.
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
                since = self.inbox.position(INBOX).unwrap_or(next);
            }
        }
    }
}
