//! Acknowledgements: a device has messages, and perhaps its whole inbox up to a place.

use std::collections::BTreeMap;

use guest::sql::{self, Batch, Done, Error as SqlError, Row};
use guest::{Caller, Error, MessageState, Qos, StateChange, now_ms, params};
use message::{Code, before, cursor};

use crate::inbox::{RECENT_PLACES, values};
use crate::unplaced::rows;
use crate::{CHUNK, ROUNDS, contended, push, receipt};

/// One batch for everything; then one receipt for each sender whose messages moved.
pub(crate) async fn ack(caller: &Caller, messages: Vec<u64>, up_to: Option<u64>) -> Result<u32, Error> {
    let messages = receipt::distinct(messages)?;
    let up_to = up_to.filter(|place| *place > 0);
    if messages.is_empty() && up_to.is_none() {
        return Ok(0);
    }
    for _ in 0..ROUNDS {
        let now = now_ms();
        match batch(caller, &messages, up_to, now).run().await {
            Ok(done) => return settle(caller, &done, up_to.is_some(), now).await,
            // The only statement that needs a row guards the cursor.
            Err(SqlError::Unmet(_)) => return Err(Error::invalid("the cursor is past the end of the inbox")),
            // The same device acknowledged the same at the same time: what it wrote is there now.
            Err(SqlError::UniqueViolation(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(contended())
}

/// How many statements each chunk of ids takes.
const STEPS: usize = 4;

fn batch(caller: &Caller, messages: &[u64], up_to: Option<u64>, now: u64) -> Batch {
    let mut batch = Batch::new();
    if let Some(place) = up_to {
        batch = batch.need(
            "SELECT h.last_seq FROM inbox_heads h WHERE h.user_id = ? AND h.last_seq >= ?",
            params![caller.user, place],
        );
    }
    for chunk in messages.chunks(CHUNK) {
        batch = acknowledge(batch, caller, chunk, now);
    }
    match up_to {
        Some(place) => cursor::forward(batch, caller.user, &caller.device, place, now),
        None => batch,
    }
}

/// Adds the statements for a chunk of ids: who is to be told, the new state of messages of two, which
/// device has which exactly-once message, and that a group's exactly-once message need not be pushed again.
fn acknowledge(batch: Batch, caller: &Caller, chunk: &[u64], now: u64) -> Batch {
    let places = sql::places(chunk.len());
    let mine = format!(
        "id IN ({places}) AND recipient_id = ? AND {}",
        before(MessageState::Delivered)
    );
    let key = || {
        let mut key = values(chunk);
        key.extend(params![caller.user]);
        key
    };
    let mut moved = params![MessageState::Delivered.code(), now, now];
    moved.extend(key());

    let device = caller.device.as_str();
    let mut delivery = params![caller.user, device, now];
    delivery.extend(values(chunk));
    // A group's message is for its members, and for who has left since and still has it in the inbox.
    let (user, once) = (caller.user, Qos::ExactlyOnce.code());
    delivery.extend(params![once, user, user, user, user, RECENT_PLACES, user, device]);

    let mut settled = params![MessageState::Sent.code(), now];
    settled.extend(values(chunk));
    settled.extend(params![Qos::ExactlyOnce.code(), caller.user, device]);

    batch
        .step(
            format!("SELECT id, sender_id, conversation_id FROM messages WHERE {mine} ORDER BY id"),
            key(),
        )
        .step(
            format!(
                "UPDATE messages SET state = ?, delivered_at = ?, sent_at = COALESCE(sent_at, ?), retry_at = NULL \
                 WHERE {mine}"
            ),
            moved,
        )
        .step(
            format!(
                "INSERT INTO deliveries (message_id, user_id, device, delivered_at) \
                 SELECT m.id, ?, ?, ? FROM messages m WHERE m.id IN ({places}) AND m.qos = ? \
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
                 WHERE id IN ({places}) AND recipient_id IS NULL AND qos = ? AND {} \
                 AND EXISTS (SELECT 1 FROM deliveries d \
                 WHERE d.message_id = messages.id AND d.user_id = ? AND d.device = ?)",
                before(MessageState::Sent)
            ),
            settled,
        )
}

/// Tells the senders, and counts. The count is that of the updates, which is exact: two devices that
/// acknowledge at once may both have read a message as theirs to report.
async fn settle(caller: &Caller, done: &[Done], guarded: bool, now: u64) -> Result<u32, Error> {
    let first = usize::from(guarded);
    let mut told: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
    let mut delivered: u64 = 0;
    for step in (first..).step_by(STEPS).take_while(|step| step + STEPS <= done.len()) {
        for row in rows(done, step) {
            let (message, conversation) = moved(row)?;
            told.entry(conversation).or_default().push(message);
        }
        delivered += done.get(step + 1).map_or(0, |update| update.affected);
    }
    for ((sender, conversation), messages) in told {
        let change = StateChange {
            conversation,
            by: caller.user,
            messages,
            state: MessageState::Delivered,
            at: now,
        };
        push::receipt(sender, change).await;
    }
    Ok(u32::try_from(delivered).unwrap_or(u32::MAX))
}

/// A message, and its sender and conversation.
fn moved(row: &Row) -> Result<(u64, (u64, u64)), Error> {
    Ok((row.at(0)?, (row.at(1)?, row.at(2)?)))
}
