//! Acknowledgements: a device has messages, and perhaps its whole inbox up to a cursor.

use std::collections::BTreeMap;

use guest::sql::{self, Batch, Done, Error as SqlError, Row};
use guest::{Caller, Error, MessageState, Qos, StateChange, join_all, now_ms, params};
use message::{Code, before, cursor};

use crate::bounds::{CHUNK, ROUNDS, contended};
use crate::inbox::{RECENT_SEQS, values};
use crate::unsequenced::rows;
use crate::{push, receipt};

/// One batch for everything; then one receipt for each sender whose messages moved.
///
/// Most acknowledgements name no exactly-once message and come from a device that has acknowledged before. What only the
/// others need is left out at first; a batch that falls short of that is run again, whole.
pub(crate) async fn ack(caller: &Caller, messages: Vec<u64>, up_to: Option<u64>) -> Result<u32, Error> {
    let messages = receipt::distinct(messages)?;
    let up_to = up_to.filter(|seq| *seq > 0);
    if messages.is_empty() && up_to.is_none() {
        return Ok(0);
    }
    let mut extent = Extent::Usual;
    for _ in 0..ROUNDS {
        let now = now_ms();
        match batch(caller, &messages, up_to, extent, now).run().await {
            Ok(done) => {
                let guarded = up_to.is_some() && guards_apart(extent, &messages);
                return settle(caller, &done, messages.len().div_ceil(CHUNK), guarded, now).await;
            }
            Err(SqlError::Unmet(END)) if extent == Extent::Whole && up_to.is_some() => {
                return Err(Error::invalid("the cursor is past the end of the inbox"));
            }
            Err(SqlError::Unmet(_)) => extent = Extent::Whole,
            // The same device acknowledged the same at the same time: what it wrote is there now.
            Err(SqlError::UniqueViolation(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(contended())
}

/// Which statements a batch has.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Extent {
    /// Those of messages that are not exactly-once, for a device whose cursor is known.
    Usual,
    /// All.
    Whole,
}

/// The statement of a whole batch that guards the cursor, where there is one.
const END: u32 = 0;

/// Whether the cursor has a statement of its own that guards it. Otherwise the looks guard it, too.
fn guards_apart(extent: Extent, messages: &[u64]) -> bool {
    extent == Extent::Whole || messages.is_empty()
}

/// What may fall short comes before what changes rows, as far as that can be: a batch that has changed rows and is then
/// undone costs an embedded store a second run of all that it keeps in one transaction. The looks come first or right after the
/// guard, the moves last; [`settle`] relies on that.
fn batch(caller: &Caller, messages: &[u64], up_to: Option<u64>, extent: Extent, now: u64) -> Batch {
    let mut batch = Batch::new();
    if let Some(seq) = up_to.filter(|_| guards_apart(extent, messages)) {
        batch = batch.need(
            "SELECT h.last_seq FROM inbox_heads h WHERE h.user_id = ? AND h.last_seq >= ?",
            params![caller.user, seq],
        );
    }
    for chunk in messages.chunks(CHUNK) {
        batch = match extent {
            Extent::Usual => look(batch, caller.user, chunk, up_to),
            Extent::Whole => batch.step(format!("{} ORDER BY m.id", named(chunk)), values(chunk)),
        };
    }
    batch = match (up_to, extent) {
        (Some(seq), Extent::Usual) => cursor::move_on(batch, caller.user, &caller.device, seq, now),
        (Some(seq), Extent::Whole) => cursor::forward(batch, caller.user, &caller.device, seq, now),
        (None, _) => batch,
    };
    if extent == Extent::Whole {
        for chunk in messages.chunks(CHUNK) {
            batch = record(batch, caller, chunk, now);
        }
    }
    for chunk in messages.chunks(CHUNK) {
        batch = deliver(batch, caller, chunk, now);
    }
    batch
}

/// What reads whose messages a chunk of ids names, and where they stand.
pub(crate) fn named(chunk: &[u64]) -> String {
    let placeholders = sql::placeholders(chunk.len());
    format!("{LOOK} FROM messages m WHERE m.id IN ({placeholders})")
}

const LOOK: &str = "SELECT m.id, m.sender_id, m.conversation_id, m.recipient_id, m.state";

/// Adds the statement that reads the same in the usual case: it reaches all of the chunk when none is exactly-once, and
/// the inbox reaches the cursor where there is one.
fn look(batch: Batch, user: u64, chunk: &[u64], up_to: Option<u64>) -> Batch {
    let all = chunk.len();
    let mut params = values(chunk);
    params.extend(params![Qos::ExactlyOnce.code()]);
    let Some(seq) = up_to else {
        return batch.at_least(all, format!("{} AND m.qos <> ? ORDER BY m.id", named(chunk)), params);
    };
    params.extend(params![user, seq]);
    let placeholders = sql::placeholders(chunk.len());
    batch.at_least(
        all,
        format!(
            "{LOOK} FROM inbox_heads h JOIN messages m ON m.id IN ({placeholders}) AND m.qos <> ? \
             WHERE h.user_id = ? AND h.last_seq >= ? ORDER BY m.id"
        ),
        params,
    )
}

/// Adds the statement that moves the caller's messages among a chunk of ids.
pub(crate) fn deliver(batch: Batch, caller: &Caller, chunk: &[u64], now: u64) -> Batch {
    let mut moved = params![MessageState::Delivered.code(), now, now];
    moved.extend(values(chunk));
    moved.extend(params![caller.user]);
    batch.step(
        format!(
            "UPDATE messages SET state = ?, delivered_at = ?, sent_at = COALESCE(sent_at, ?), retry_at = NULL \
             WHERE id IN ({}) AND recipient_id = ? AND {}",
            sql::placeholders(chunk.len()),
            before(MessageState::Delivered)
        ),
        moved,
    )
}

/// Adds the statements that record which device has which exactly-once message of a chunk, and that a group's
/// exactly-once message need not be pushed again.
fn record(batch: Batch, caller: &Caller, chunk: &[u64], now: u64) -> Batch {
    let placeholders = sql::placeholders(chunk.len());
    let device = caller.device.as_str();
    let mut delivery = params![caller.user, device, now];
    delivery.extend(values(chunk));
    // A group's message is for its members, and for who has left since and still has it in the inbox.
    let (user, once) = (caller.user, Qos::ExactlyOnce.code());
    delivery.extend(params![once, user, user, user, user, RECENT_SEQS, user, device]);

    let mut settled = params![MessageState::Sent.code(), now];
    settled.extend(values(chunk));
    settled.extend(params![Qos::ExactlyOnce.code(), caller.user, device]);

    batch
        .step(
            format!(
                "INSERT INTO deliveries (message_id, user_id, device, delivered_at) \
                 SELECT m.id, ?, ?, ? FROM messages m WHERE m.id IN ({placeholders}) AND m.qos = ? \
                 AND (m.recipient_id = ? OR (m.recipient_id IS NULL AND (EXISTS (SELECT 1 FROM members x \
                 WHERE x.conversation_id = m.conversation_id AND x.user_id = ?) \
                 OR m.id IN (SELECT i.message_id FROM inbox i WHERE i.user_id = ? \
                 AND i.seq > (SELECT h.last_seq FROM inbox_heads h WHERE h.user_id = ?) - ?)))) \
                 AND NOT EXISTS (SELECT 1 FROM deliveries d \
                 WHERE d.message_id = m.id AND d.user_id = ? AND d.device = ?)"
            ),
            delivery,
        )
        .step(
            format!(
                "UPDATE messages SET state = ?, sent_at = COALESCE(sent_at, ?), retry_at = NULL \
                 WHERE id IN ({placeholders}) AND recipient_id IS NULL AND qos = ? AND {} \
                 AND EXISTS (SELECT 1 FROM deliveries d \
                 WHERE d.message_id = messages.id AND d.user_id = ? AND d.device = ?)",
                before(MessageState::Sent)
            ),
            settled,
        )
}

/// Tells the senders, and counts. The count is that of the updates, which is exact: two devices that
/// acknowledge at once may both have read a message as theirs to report.
async fn settle(caller: &Caller, done: &[Done], chunks: usize, guarded: bool, now: u64) -> Result<u32, Error> {
    let first = usize::from(guarded);
    let mut receipts = Receipts::default();
    for row in (first..first + chunks).flat_map(|step| rows(done, step)) {
        receipts.note(caller.user, row)?;
    }
    let delivered: u64 = done.iter().rev().take(chunks).map(|update| update.affected).sum();
    receipts.push(now).await;
    Ok(u32::try_from(delivered).unwrap_or(u32::MAX))
}

/// What senders are to be told: the messages of a conversation that a user has now.
#[derive(Default)]
pub(crate) struct Receipts(BTreeMap<(u64, u64, u64), Vec<u64>>);

impl Receipts {
    /// Notes a message, by a row of [`named`], unless it is not for the user or was delivered before.
    pub(crate) fn note(&mut self, user: u64, row: &Row) -> Result<(), Error> {
        if row.at::<Option<u64>>(3)? == Some(user) && row.at::<u8>(4)? < MessageState::Delivered.code() {
            let whose = (user, row.at(1)?, row.at(2)?);
            self.0.entry(whose).or_default().push(row.at(0)?);
        }
        Ok(())
    }

    pub(crate) async fn push(self, at: u64) {
        let pushes = self.0.into_iter().map(|((by, sender, conversation), messages)| {
            let change = StateChange {
                conversation,
                by,
                messages,
                state: MessageState::Delivered,
                at,
            };
            push::receipt(sender, change)
        });
        join_all(pushes).await;
    }
}
