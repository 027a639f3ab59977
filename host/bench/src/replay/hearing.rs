//! What a member does with the frames that it hears: a message is recognised, sorted by the rule of a device,
//! and counted when the device shows it. What a member has shown goes to its tallies, what all must agree on to the
//! ledger.

use std::sync::atomic::Ordering;
use std::time::Instant;

use client::cursor::{Fed, Pull, Source};
use client::error::{Error, Refusal};
use client::frames::{self, Frame, Notice, RESYNC};
use client::records::{GroupPage, InboxPage, Int, Message, Receipt, Waiting};

use super::member::{Arrival, Asked, BACKOFF_FIRST, BACKOFF_MOST, Member};
use super::play::{Circle, Slot};

impl Member {
    /// Takes a frame.
    pub(super) fn hear(&mut self, text: &str) -> Result<(), Error> {
        let now = Instant::now();
        self.heard_at = now;
        match Frame::read(text)? {
            Frame::Notification { name, params } if name == "message" => {
                let notice: Notice<Message<'_>> = params.read()?;
                self.hear_message(&notice, now);
                Ok(())
            }
            Frame::Notification { name, params } if name == "pending" => {
                let notice: Notice<Waiting> = params.read()?;
                self.inbox
                    .reaches(Source::Inbox, notice.cursor.unwrap_or_default().0, now);
                Ok(())
            }
            Frame::Notification { name, .. } => {
                if name == RESYNC {
                    self.inbox.doubt();
                }
                Ok(())
            }
            Frame::Answer { id, result } => {
                let Some(asked) = self.asked.remove(&id) else {
                    return Ok(());
                };
                let result = result.map(|raw| raw.map_or("null", |raw| raw.get()));
                self.hear_answer(asked, result, now)
            }
        }
    }

    fn hear_message(&mut self, notice: &Notice<Message<'_>>, now: Instant) {
        let Some(arrival) = self.recognise(&notice.body) else {
            return;
        };
        let group = Source::Group(notice.body.group.unwrap_or_default().0);
        let (source, seq) = match notice.cursor {
            Some(cursor) => (Source::Inbox, cursor.0),
            None if self.inbox.follows(group) => (group, notice.body.seq.0),
            // What a former connection of this member said to a small group: a device learns the sequence numbers of its
            // own messages from the receipts.
            None => return,
        };
        let mut shown = std::mem::take(&mut self.shown);
        match self.inbox.feed(source, seq, arrival, now, &mut shown) {
            Fed::Duplicate => self.counts.repeats += 1,
            Fed::Shown | Fed::Held => {
                if let Some(latency) = self.stage.ledger.since_sent(arrival.slot, now).filter(|_| !arrival.own) {
                    self.counts.latencies.record(latency);
                }
            }
            Fed::Gap => {}
        }
        self.show(shown, now);
    }

    fn hear_answer(&mut self, asked: Asked, result: Result<&str, Refusal>, now: Instant) -> Result<(), Error> {
        match (asked, result) {
            (Asked::Send(number), Ok(text)) => self.hear_receipt(number, frames::read(text)?, now),
            (Asked::Send(number), Err(refusal)) if refusal.retryable => self.turned_away(number, now),
            (Asked::Pull(source), Ok(text)) => self.hear_page(source, text, now)?,
            (Asked::Pull(source), Err(refusal)) if refusal.retryable => self.inbox.pull_failed(source, now),
            (Asked::Mark, Ok(_)) => {}
            // The next acknowledgement covers this one.
            (Asked::Mark, Err(refusal)) if refusal.retryable => {}
            (asked, Err(refusal)) => {
                let what = format!("{asked:?} of member {}", self.index);
                return Err(Error::Refused(Refusal { what, ..refusal }));
            }
        }
        Ok(())
    }

    fn hear_receipt(&mut self, number: usize, receipt: Receipt, now: Instant) {
        let (Some(slot), Some(_)) = (self.slot(number), self.in_flight.remove(&number)) else {
            return;
        };
        self.counts.sent += 1;
        self.counts.last_receipt = now.duration_since(self.stage.ledger.start());
        self.stage.progress.sent.fetch_add(1, Ordering::Relaxed);
        let group = self.stage.groups.of(self.index, slot.circle());
        if receipt.conversation.0 != group.id {
            self.differ(&format!(
                "has a receipt of the conversation {} for one of {}",
                receipt.conversation, group.id
            ));
        }
        let (large, source) = (group.large, Source::Group(group.id));
        let seq = u32::try_from(receipt.seq.0).unwrap_or(u32::MAX);
        self.stage.ledger.placed(slot, seq, &self.name());
        let [all, slice] = &mut self.tallies;
        let tally = if slot.circle() == Circle::All { all } else { slice };
        if let Err(difference) = tally.receipt(seq) {
            self.differ(&difference);
        }
        if large {
            let mut shown = std::mem::take(&mut self.shown);
            self.inbox.pass(source, receipt.seq.0, now, &mut shown);
            self.show(shown, now);
        }
    }

    fn turned_away(&mut self, number: usize, now: Instant) {
        if let Some(slot) = self.slot(number) {
            self.stage.ledger.turned_away(slot);
        }
        self.counts.turned_away += 1;
        if let Some(flight) = self.in_flight.get_mut(&number) {
            flight.refusals += 1;
            let backoff = BACKOFF_FIRST * 2_u32.saturating_pow(flight.refusals.min(8));
            flight.retry_at = Some(now + backoff.min(BACKOFF_MOST));
        }
    }

    fn hear_page(&mut self, source: Source, text: &str, now: Instant) -> Result<(), Error> {
        let (entries, next, more) = match source {
            Source::Inbox => {
                let page: InboxPage<'_> = frames::read(text)?;
                let known = |message, cursor: Int| self.recognise(message).map(|arrival| (cursor.0, arrival));
                let entries = page
                    .entries
                    .iter()
                    .filter_map(|entry| known(&entry.message, entry.cursor));
                (entries.collect::<Vec<_>>(), page.next.0, page.more)
            }
            Source::Group(_) => {
                let page: GroupPage<'_> = frames::read(text)?;
                let known = |message| self.recognise(message).map(|arrival| (message.seq.0, arrival));
                (page.messages.iter().filter_map(known).collect(), page.next.0, page.more)
            }
        };
        let mut shown = std::mem::take(&mut self.shown);
        self.counts.pulled += self.inbox.page(source, entries, next, more, now, &mut shown) as u64;
        if more {
            self.more.push(Pull {
                source,
                since: self.inbox.position(source),
            });
        }
        self.show(shown, now);
        Ok(())
    }

    /// Which message of the performance this is; what is not what was sent is a difference.
    fn recognise(&self, message: &Message<'_>) -> Option<Arrival> {
        match self.recognised(message) {
            Ok(arrival) => Some(arrival),
            Err(difference) => {
                self.differ(&difference);
                None
            }
        }
    }

    fn recognised(&self, message: &Message<'_>) -> Result<Arrival, String> {
        let stage = &self.stage;
        let number = message
            .client_id
            .strip_prefix(stage.run.as_str())
            .and_then(|rest| rest.strip_prefix('-'));
        let slot = number.and_then(|number| number.parse().ok()).map(Slot);
        let stray = || {
            format!(
                "got the message {} with the client id {}",
                message.id, message.client_id
            )
        };
        let slot = slot.ok_or_else(stray)?;
        let line = stage.play.line(slot.line()).ok_or_else(stray)?;
        let group = stage.groups.of(self.index, slot.circle()).id;
        if message.group != Some(Int(group)) || message.conversation.0 != group {
            return Err(format!(
                "got line {} ({:?}) in another group",
                slot.line() + 1,
                slot.circle()
            ));
        }
        if stage.users.get(line.speaker) != Some(&message.sender.0) {
            return Err(format!("got line {} from the user {}", slot.line() + 1, message.sender));
        }
        if message.content != line.text {
            return Err(format!("got line {} with other words", slot.line() + 1));
        }
        let seq = u32::try_from(message.seq.0).map_err(|_| stray())?;
        Ok(Arrival {
            slot,
            seq,
            own: line.speaker == self.index,
        })
    }

    /// Counts what the device shows, and gives the buffer back.
    fn show(&mut self, mut shown: Vec<Arrival>, now: Instant) {
        for Arrival { slot, seq, own } in shown.drain(..) {
            self.stage.ledger.placed(slot, seq, "a member");
            let [all, slice] = &mut self.tallies;
            let tally = if slot.circle() == Circle::All { all } else { slice };
            if let Err(difference) = tally.show(seq, own) {
                self.differ(&format!("{difference} ({:?})", slot.circle()));
            } else if !own {
                self.counts.delivered += 1;
                self.counts.last_delivery = now.duration_since(self.stage.ledger.start());
                self.stage.progress.delivered.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.shown = shown;
    }
}
