//! What must be true in the end, checked while it happens. The ledger holds what all members must agree on: the
//! sequence number of each message. A tally holds what one member has of one conversation. It does not rely on the rule by
//! which a device sorts its frames: it checks that rule too.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::play::{Circle, Play, Slot};

/// How many differences are kept to be listed; more are counted.
const LISTED: usize = 20;

/// What is known of each message, and what was found wrong.
#[derive(Debug)]
pub(super) struct Ledger {
    start: Instant,
    slots: Vec<Entry>,
    differences: Mutex<Vec<String>>,
    found: AtomicUsize,
    /// Whether the service was too full for any message.
    too_full: AtomicBool,
}

#[derive(Debug, Default)]
struct Entry {
    /// Nanoseconds after the start, when it was first sent; 0: not yet.
    sent_ns: AtomicU64,
    /// The sequence number in its conversation; 0: not known yet.
    seq: AtomicU32,
    /// The service was too full for it once, so later lines may have overtaken it.
    turned_away: AtomicBool,
    /// It was sent again on another connection; the answer to the first sending is not known.
    sent_again: AtomicBool,
}

impl Ledger {
    /// An empty ledger for this many lines.
    pub(super) fn new(lines: usize) -> Self {
        let slots = (0..lines * 2).map(|_| Entry::default()).collect();
        Self {
            start: Instant::now(),
            slots,
            differences: Mutex::default(),
            found: AtomicUsize::new(0),
            too_full: AtomicBool::new(false),
        }
    }

    fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.slots.get(slot.0 as usize)
    }

    /// When the performance began.
    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// A message is sent; a repeat does not count.
    pub(super) fn sent(&self, slot: Slot, now: Instant) {
        let at = u64::try_from(now.duration_since(self.start).as_nanos())
            .unwrap_or(u64::MAX)
            .max(1);
        if let Some(entry) = self.entry(slot) {
            // Somebody who reads 0 here has nothing to measure yet, so no order is needed.
            let _ = entry
                .sent_ns
                .compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The time since a message was first sent.
    pub(super) fn since_sent(&self, slot: Slot, now: Instant) -> Option<Duration> {
        let sent = self.entry(slot)?.sent_ns.load(Ordering::Relaxed);
        (sent > 0).then(|| {
            now.duration_since(self.start)
                .saturating_sub(Duration::from_nanos(sent))
        })
    }

    /// The service was too full for a message and it will be sent again.
    pub(super) fn turned_away(&self, slot: Slot) {
        self.too_full.store(true, Ordering::Relaxed);
        if let Some(entry) = self.entry(slot) {
            entry.turned_away.store(true, Ordering::Relaxed);
        }
    }

    /// A message without an answer is sent again on the next connection.
    pub(super) fn sent_again(&self, slot: Slot) {
        if let Some(entry) = self.entry(slot) {
            entry.sent_again.store(true, Ordering::Relaxed);
        }
    }

    /// Whether later lines may have overtaken this one, because the service was too full for it, or may have
    /// been when the answer got lost.
    fn may_be_overtaken(&self, entry: &Entry) -> bool {
        let maybe = entry.sent_again.load(Ordering::Relaxed) && self.too_full.load(Ordering::Relaxed);
        maybe || entry.turned_away.load(Ordering::Relaxed)
    }

    /// Somebody was told the sequence number of a message: everybody must be told the same.
    pub(super) fn placed(&self, slot: Slot, seq: u32, who: &str) {
        let Some(entry) = self.entry(slot) else {
            return;
        };
        if let Err(other) = entry.seq.compare_exchange(0, seq, Ordering::Relaxed, Ordering::Relaxed)
            && other != seq
        {
            let (line, circle) = (slot.line() + 1, slot.circle());
            self.differ(format!(
                "{who} has line {line} ({circle:?}) at seq {seq}, others at seq {other}"
            ));
        }
    }

    /// Something is not as it must be.
    pub(super) fn differ(&self, difference: String) {
        self.found.fetch_add(1, Ordering::Relaxed);
        let mut listed = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.len() < LISTED {
            listed.push(difference);
        }
    }

    /// How many differences were found, and the first of them.
    pub(super) fn differences(&self) -> (usize, Vec<String>) {
        let listed = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        (self.found.load(Ordering::Relaxed), listed.clone())
    }

    /// In the end: the sequence numbers of each conversation are 1 to their number, and each sender's lines stand in order.
    /// With every member having each of them once, in order, this is what everybody has heard.
    pub(super) fn check_order(&self, play: &Play) {
        self.check_conversation(play, Circle::All, 0..play.speakers());
        play.slices()
            .for_each(|slice| self.check_conversation(play, Circle::Slice, slice));
    }

    fn check_conversation(&self, play: &Play, circle: Circle, members: std::ops::Range<usize>) {
        let mut line_at = vec![None; play.messages(members.start, circle)];
        for speaker in members.clone() {
            let mut last = 0;
            for &line in play.lines_of(speaker) {
                let Some(entry) = self.entry(Slot::of(line, circle)) else {
                    continue;
                };
                let seq = entry.seq.load(Ordering::Relaxed);
                match (seq as usize).checked_sub(1).and_then(|index| line_at.get_mut(index)) {
                    None => self.differ(format!("line {} ({circle:?}) has the seq {seq}", line + 1)),
                    Some(Some(other)) => {
                        self.differ(format!(
                            "lines {} and {} ({circle:?}) have the seq {seq}",
                            *other + 1,
                            line + 1
                        ));
                    }
                    Some(free) => *free = Some(line),
                }
                if self.may_be_overtaken(entry) {
                    continue;
                }
                if seq < last {
                    let line = line + 1;
                    self.differ(format!(
                        "line {line} ({circle:?}) overtook one that its sender said before, seq {seq}"
                    ));
                }
                last = last.max(seq);
            }
        }
    }

    /// Which line has a sequence number in the circle of a speaker, for the list of what somebody lacks.
    pub(super) fn line_at(&self, play: &Play, speaker: usize, circle: Circle, seq: u32) -> Option<usize> {
        let lines = play.audience(speaker, circle).flat_map(|member| play.lines_of(member));
        let placed = |line: &&usize| {
            self.entry(Slot::of(**line, circle))
                .is_some_and(|entry| entry.seq.load(Ordering::Relaxed) == seq)
        };
        lines.copied().collect::<Vec<_>>().iter().find(placed).copied()
    }
}

/// What one member has of one conversation.
#[derive(Debug)]
pub(super) struct Tally {
    /// One bit a sequence number.
    seen: Vec<u64>,
    total: u32,
    missing: u32,
    last_shown: u32,
}

impl Tally {
    /// Nothing yet of a conversation that will have this many messages.
    pub(super) fn new(total: usize) -> Self {
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        Self {
            seen: vec![0; total as usize / 64 + 1],
            total,
            missing: total,
            last_shown: 0,
        }
    }

    /// The device showed the message of a sequence number. Its own may be known by the receipt already.
    pub(super) fn show(&mut self, seq: u32, own: bool) -> Result<(), String> {
        if seq <= self.last_shown {
            return Err(format!("was shown seq {seq} after seq {}", self.last_shown));
        }
        self.last_shown = seq;
        match self.mark(seq) {
            None => Err(format!("was shown seq {seq} of {}", self.total)),
            Some(false) if !own => Err(format!("was shown seq {seq}, which is that of an own message")),
            Some(_) => Ok(()),
        }
    }

    /// The device has the receipt of an own message.
    pub(super) fn receipt(&mut self, seq: u32) -> Result<(), String> {
        self.mark(seq)
            .map(|_| ())
            .ok_or_else(|| format!("has a receipt for seq {seq} of {}", self.total))
    }

    /// Whether it is new; none when there is no such one.
    fn mark(&mut self, seq: u32) -> Option<bool> {
        if seq == 0 || seq > self.total {
            return None;
        }
        let word = self.seen.get_mut(seq as usize / 64)?;
        let bit = 1 << (seq % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        self.missing -= u32::from(fresh);
        Some(fresh)
    }

    /// Whether nothing is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// How many are missing.
    pub(super) fn missing(&self) -> u32 {
        self.missing
    }

    /// The first that is missing.
    pub(super) fn first_missing(&self) -> Option<u32> {
        (1..=self.total).find(|seq| {
            self.seen
                .get(*seq as usize / 64)
                .is_none_or(|word| word & (1 << (seq % 64)) == 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Ledger, Tally};
    use crate::replay::play::{Circle, Play, Slot};

    #[test]
    fn a_member_who_has_everything_once_is_complete() -> Result<(), String> {
        let mut tally = Tally::new(130);
        for seq in 1..=130 {
            assert_eq!(tally.first_missing(), Some(seq));
            match seq % 3 {
                0 => tally.receipt(seq)?,
                _ => tally.show(seq, false)?,
            }
        }
        assert!(tally.is_complete());
        Ok(())
    }

    #[test]
    fn repeats_swaps_and_strays_are_found() -> Result<(), String> {
        let mut tally = Tally::new(5);
        tally.show(2, false)?;
        assert!(tally.show(2, false).is_err(), "again");
        assert!(tally.show(1, false).is_err(), "out of order");
        assert!(tally.show(6, false).is_err(), "beyond the end");
        assert_eq!((tally.missing(), tally.first_missing()), (4, Some(1)));
        Ok(())
    }

    #[test]
    fn an_own_message_may_come_by_receipt_and_by_pull() -> Result<(), String> {
        let mut tally = Tally::new(2);
        tally.receipt(1)?;
        tally.receipt(1)?;
        tally.show(1, true)?;
        tally.receipt(2)?;
        assert!(
            tally.show(2, false).is_err(),
            "another's message in the stead of an own one"
        );
        assert!(tally.is_complete());
        Ok(())
    }

    const TEXT: &str =
        "{\"from\":\"a\",\"text\":\"1\"}\n{\"from\":\"b\",\"text\":\"2\"}\n{\"from\":\"a\",\"text\":\"3\"}\n";

    #[test]
    fn the_order_is_checked_over_all_members() -> Result<(), String> {
        let play = Play::read(TEXT)?;
        let ledger_of = |seqs: [u32; 3]| {
            let ledger = Ledger::new(play.lines());
            for (line, seq) in seqs.into_iter().enumerate() {
                Circle::BOTH
                    .iter()
                    .for_each(|circle| ledger.placed(Slot::of(line, *circle), seq, "m"));
            }
            ledger
        };
        let found = |ledger: &Ledger| {
            ledger.check_order(&play);
            ledger.differences().0
        };
        assert_eq!(found(&ledger_of([1, 2, 3])), 0);
        assert_eq!(found(&ledger_of([1, 3, 2])), 0, "speakers may overtake each other");
        assert_eq!(
            found(&ledger_of([3, 2, 1])),
            2,
            "a speaker's lines are swapped, in both circles"
        );
        assert_eq!(found(&ledger_of([1, 1, 3])), 2, "two lines with one sequence number");
        assert_eq!(found(&ledger_of([1, 2, 4])), 2, "one past the end");
        let ledger = ledger_of([3, 2, 1]);
        Circle::BOTH
            .iter()
            .for_each(|circle| ledger.turned_away(Slot::of(0, *circle)));
        assert_eq!(found(&ledger), 0, "the service was too full for the first line");
        ledger.placed(Slot::of(0, Circle::All), 2, "m");
        assert_eq!(ledger.differences().0, 1, "members disagree");
        Ok(())
    }

    #[test]
    fn latency_counts_from_the_first_sending() {
        let ledger = Ledger::new(1);
        let slot = Slot::of(0, Circle::All);
        let at = |ms| ledger.start() + Duration::from_millis(ms);
        assert_eq!(ledger.since_sent(slot, Instant::now()), None);
        ledger.sent(slot, at(5));
        ledger.sent(slot, at(50));
        assert_eq!(ledger.since_sent(slot, at(60)), Some(Duration::from_millis(55)));
    }
}
