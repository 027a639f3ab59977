//! The newest messages of large groups in the cache, written through by who sends them.
//!
//! A message of a large group is one row with thousands of readers, who all ask for it within seconds: after
//! a reconnect, or when they open the chat. Whoever sends it [`put`]s it into the cache after the commit and
//! before the push, and a reader takes a [`page`] from there when it is there as a whole. It owns the names and
//! layouts of these entries; the components that use it name the same space of the cache in the manifest.
//!
//! # Why a page from the cache is the page of the store
//!
//! *No gap, and nothing that is not kept.* A record is put once its message is committed with its seq, and a seq
//! belongs to one message for ever, as long as the store keeps what it has committed. The reader knows from the store how
//! far the group reaches, and takes every message up to there or none: one that is missing, or that cannot be read, sends it
//! to the store.
//!
//! *Nothing that may change.* What a group's members are told of a message is fixed with its commit, but for its
//! being taken back: states are those of [`as_accepted`], and who has an exactly-once message is for the store to
//! say, which is why those have no record.
//!
//! *Nothing that was taken back.* No record is looked at for that, so that it does not matter when, or how often, or from
//! what replica, one was put or read: a message that was put long after it was taken back is harmless. What was taken back
//! of the end of a group is a value of its own, loaded *from the store* through the cache ([`cached_one`]), and forgotten
//! with the outcome of every recall ([`recalled_after`]). By the promise of the cache no reader that begins after a recall
//! was answered has a value from before it, on any node, nor from a replica. Only where it could not be forgotten
//! (the cache was out of reach, the writer died in between), a message may be seen with its content for as long as
//! [`KEEP`] says.

use std::ops::RangeInclusive;

use guest::cache::{self, Cached, Keep, cached_one};
use guest::sql::{self, Error as SqlError, Row};
use guest::{Error, Message, MessageState, Qos, now_ms, params};

use crate::codes::Code;

/// How long a recall may be unseen that could not be forgotten.
pub const KEEP: Keep = Keep::for_ms(30_000);

/// How long a record is at hand, in milliseconds.
const LIFE_MS: u64 = 60_000;
/// How many messages a page from the cache has at most.
const MOST: u64 = 100;
/// The longest content that has a record, in bytes: as many as a page has, all as long, are what a sandbox can hold.
const CONTENT_BYTES: usize = 16 * 1024;
/// How far behind the end of its group a page from the cache begins at most. What was taken back is known from there on.
const REACH: u64 = 500;

/// How far a group reaches, read from the store.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// The seq of the last message.
    pub seq: u64,
    /// When it was sent, in milliseconds since the epoch.
    pub at: u64,
}

/// The name says the layout: another layout is another name.
fn record_key(group: u64, seq: u64) -> String {
    format!("record/1/{group}/{seq}")
}

fn recalls_key(group: u64) -> String {
    format!("recalls/{group}")
}

/// Puts a message of a large group, which MUST be committed, to hand for its readers. Costs one write of the cache.
/// Very long ones have no record.
pub async fn put(message: Message) {
    if message.qos == Qos::ExactlyOnce || message.content.len() > CONTENT_BYTES {
        return;
    }
    let key = record_key(message.conversation, message.seq);
    cache::put(key, &Record(message), LIFE_MS).await;
}

/// Forgets what was taken back in the group of a message: to be called with the outcome of every recall.
pub async fn recalled_after<T>(outcome: &Result<T, SqlError>, message: &Message) {
    if let Some(group) = message.group {
        cache::forget_after(outcome, vec![recalls_key(group)]).await;
    }
}

/// A message of a group as its members are told of it, from the cache as from the store: with the state in which it was
/// accepted. How far it came since is its sender's to ask.
#[must_use]
pub fn as_accepted(message: Message) -> Message {
    Message {
        state: MessageState::Sending,
        sent_at: None,
        delivered_at: None,
        read_at: None,
        ..message
    }
}

/// Up to `limit` messages of a group after a seq, oldest first and [`as_accepted`]; none unless the cache has them all.
/// Costs nothing for a quiet group; otherwise one read of the cache, and a lookup when it has them.
pub async fn page(group: u64, from: u64, end: End, limit: u32) -> Option<Vec<Message>> {
    let seqs = seqs(from, end, limit, now_ms())?;
    let mut messages = all(group, seqs).await?;
    let (known_after, recalled) = recalls(group, end.seq).await?;
    if known_after > from {
        return None;
    }
    for message in &mut messages {
        if let Some((_, at)) = recalled.iter().find(|(seq, _)| *seq == message.seq) {
            message.content.clear();
            message.recalled_at = Some(*at);
        }
    }
    Some(messages)
}

/// The seqs of a page that may well be at hand.
fn seqs(from: u64, end: End, limit: u32, now: u64) -> Option<RangeInclusive<u64>> {
    let last = end.seq.min(from.saturating_add(u64::from(limit)));
    let fresh = end.at.saturating_add(LIFE_MS) > now;
    let within_reach = end.seq.saturating_sub(from) <= REACH;
    let few = (1..=MOST).contains(&last.saturating_sub(from));
    (fresh && within_reach && few).then(|| from.saturating_add(1)..=last)
}

/// The messages with some seqs, if every one is at hand.
async fn all(group: u64, seqs: RangeInclusive<u64>) -> Option<Vec<Message>> {
    let keys = seqs.clone().map(|seq| record_key(group, seq)).collect();
    let records: Vec<Option<Record>> = cache::at_hand(keys).await;
    let message = |(seq, record): (u64, Option<Record>)| {
        let Record(message) = record?;
        (message.conversation == group && message.seq == seq).then_some(message)
    };
    seqs.zip(records).map(message).collect()
}

/// A seq, and what was taken back behind it: seqs and times.
type Recalls = (u64, Vec<(u64, u64)>);

/// None when it cannot be had: the page is then the store's matter.
async fn recalls(group: u64, last: u64) -> Option<Recalls> {
    let load = async || load_recalls(group, last.saturating_sub(REACH)).await.map(Some);
    cached_one(recalls_key(group), KEEP, load).await.ok()?
}

async fn load_recalls(group: u64, after: u64) -> Result<Recalls, Error> {
    let rows = sql::query(
        "SELECT m.seq, m.recalled_at FROM messages m \
         WHERE m.conversation_id = ? AND m.seq > ? AND m.recalled_at IS NOT NULL",
        params![group, after],
    )
    .await?;
    let recall = |row: &Row| Ok((row.at(0)?, row.at(1)?));
    let recalled = rows.iter().map(recall).collect::<Result<_, Error>>()?;
    Ok((after, recalled))
}

/// A message of a group, as it was accepted.
struct Record(Message);

impl Cached for Record {
    fn write(&self, bytes: &mut Vec<u8>) {
        let Self(message) = self;
        (message.id, message.conversation, message.seq).write(bytes);
        (message.sender, message.created_at).write(bytes);
        (message.priority.code(), message.qos.code()).write(bytes);
        message.client_id.write(bytes);
        message.content_type.write(bytes);
        message.content.write(bytes);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (id, conversation, seq) = Cached::read(bytes)?;
        let (sender, created_at) = Cached::read(bytes)?;
        let (priority, qos) = Cached::read(bytes)?;
        let message = Message {
            id,
            conversation,
            seq,
            sender,
            to: None,
            group: Some(conversation),
            client_id: Cached::read(bytes)?,
            content_type: Cached::read(bytes)?,
            content: Cached::read(bytes)?,
            priority: Code::from_code(priority)?,
            qos: Code::from_code(qos).filter(|qos| *qos != Qos::ExactlyOnce)?,
            state: MessageState::Sending,
            created_at,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            recalled_at: None,
        };
        Some(Self(message))
    }
}

#[cfg(test)]
mod tests {
    use guest::Priority;

    use super::*;

    fn message(qos: Qos) -> Message {
        Message {
            id: 7,
            conversation: 70,
            seq: 3,
            sender: 1,
            to: None,
            group: Some(70),
            client_id: "c-1".to_owned(),
            content: "é".to_owned(),
            content_type: "text/plain".to_owned(),
            priority: Priority::High,
            qos,
            state: MessageState::Sending,
            created_at: 1000,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            recalled_at: None,
        }
    }

    fn read_back(message: Message) -> Option<Message> {
        let mut bytes = Vec::new();
        Record(message).write(&mut bytes);
        let record = Record::read(&mut bytes.as_slice());
        for end in 0..bytes.len() {
            assert!(Record::read(&mut &bytes[..end]).is_none(), "{end} bytes of it");
        }
        record.map(|Record(message)| message)
    }

    #[test]
    fn a_record_reads_back_as_its_message_as_it_was_accepted() {
        assert_eq!(read_back(message(Qos::AtMostOnce)), Some(message(Qos::AtMostOnce)));
        let sent = Message {
            state: MessageState::Sent,
            sent_at: Some(1001),
            ..message(Qos::AtLeastOnce)
        };
        assert_eq!(read_back(sent.clone()), Some(as_accepted(sent)));
    }

    #[test]
    fn what_goes_exactly_once_is_read_from_the_store() {
        assert_eq!(read_back(message(Qos::ExactlyOnce)), None);
    }

    #[test]
    fn only_short_pages_near_a_fresh_end_are_looked_for() {
        let end = End { seq: 1000, at: 5000 };
        let now = 5000 + LIFE_MS - 1;
        assert_eq!(seqs(950, end, 100, now), Some(951..=1000));
        assert_eq!(seqs(850, end, 100, now), Some(851..=950));
        assert_eq!(seqs(850, end, 101, now), None, "too many");
        assert_eq!(seqs(499, end, 100, now), None, "too far from the end");
        assert_eq!(seqs(950, end, 100, now + 1), None, "too old");
        assert_eq!(seqs(1000, end, 100, now), None, "nothing there");
    }
}
