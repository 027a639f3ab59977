//! A message that has everything but its seq: the statement that inserts it, and the message that
//! it becomes once the store has given the seq.

use guest::sql::{Batch, Done, Found, Params, Row};
use guest::{Error, Message, MessageState, Qos, ids, now_ms, params};
use message::Code;

use crate::bounds::first_delay_ms;
use crate::draft::Draft;

/// A message on its way into a conversation.
pub(crate) struct Unsequenced<'a> {
    pub(crate) id: u64,
    sender: u64,
    draft: &'a Draft,
    state: MessageState,
    retry_at: Option<u64>,
    pub(crate) created_at: u64,
}

impl<'a> Unsequenced<'a> {
    /// Gives the message its id and the state in which it begins; `reachable` says whether a live
    /// connection of a receiver is known, or at least possible.
    pub(crate) fn new(draft: &'a Draft, sender: u64, reachable: bool) -> Self {
        let created_at = now_ms();
        let state = first_state(draft.qos, reachable);
        let retried = state == MessageState::Sending && draft.qos != Qos::AtMostOnce;
        let retry_at = retried.then(|| created_at.saturating_add(first_delay_ms()));
        Self {
            id: ids::next(),
            sender,
            draft,
            state,
            retry_at,
            created_at,
        }
    }

    /// The message with its seq.
    pub(crate) fn sequenced(&self, conversation: u64, seq: u64) -> Message {
        let to = self.draft.target.user();
        Message {
            id: self.id,
            conversation,
            seq,
            sender: self.sender,
            to,
            group: if to.is_none() { Some(conversation) } else { None },
            client_id: self.draft.client_id.clone(),
            content: self.draft.content.clone(),
            content_type: self.draft.content_type.clone(),
            priority: self.draft.priority,
            qos: self.draft.qos,
            state: self.state,
            created_at: self.created_at,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            recalled_at: None,
        }
    }
}

/// Where a message goes, by what its batch reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) conversation: Conversation,
    /// What reads the last seq of the conversation, raised by as many as are inserted into it.
    pub(crate) last: Found,
    /// How many of those come after the message.
    pub(crate) behind: u64,
}

/// The id of the conversation of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Conversation {
    Known(u64),
    Found(Found),
}

/// Adds the statement that inserts messages at their positions.
#[must_use]
pub(crate) fn insert<'m, 'd: 'm>(
    batch: Batch,
    messages: impl IntoIterator<Item = (&'m Unsequenced<'d>, Position)>,
) -> Batch {
    let (mut values, mut rows) = (Params::default(), Vec::new());
    for (message, position) in messages {
        let draft = message.draft;
        let id = values.give(params![message.id]);
        let conversation = match position.conversation {
            Conversation::Known(known) => id.give(params![known]),
            Conversation::Found(read) => id.take(read),
        };
        values = conversation.take(position.last).give(params![
            position.behind,
            message.sender,
            draft.target.user(),
            draft.client_id.as_str(),
            draft.content.as_str(),
            draft.content_type.as_str(),
            draft.hash.as_str(),
            draft.priority.code(),
            draft.qos.code(),
            message.state.code(),
            message.retry_at,
            message.created_at,
        ]);
        rows.push("(?, ?, ? - ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)");
    }
    let sql = format!(
        "INSERT INTO messages (id, conversation_id, seq, sender_id, recipient_id, client_id, content, content_type, \
         content_hash, priority, qos, state, retry_at, retry_count, created_at) VALUES {}",
        rows.join(", ")
    );
    batch.step(sql, values)
}

/// The state in which a message begins.
fn first_state(qos: Qos, reachable: bool) -> MessageState {
    match (reachable, qos) {
        (true, _) => MessageState::Sending,
        (false, Qos::AtMostOnce) => MessageState::Failed,
        (false, _) => MessageState::Created,
    }
}

/// The only row of a statement of a batch; without one the statement is wrong, and it is ours.
pub(crate) fn row(done: &[Done], step: usize) -> Result<&Row, Error> {
    done.get(step)
        .and_then(|done| done.rows.first())
        .ok_or_else(|| Error::internal("internal error"))
}

/// The rows of a statement of a batch.
pub(crate) fn rows(done: &[Done], step: usize) -> &[Row] {
    done.get(step).map_or(&[], |done| done.rows.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_where_its_receiver_can_be_reached() {
        assert_eq!(first_state(Qos::AtLeastOnce, true), MessageState::Sending);
        assert_eq!(first_state(Qos::AtMostOnce, true), MessageState::Sending);
        assert_eq!(first_state(Qos::ExactlyOnce, false), MessageState::Created);
    }

    #[test]
    fn at_most_once_without_a_connection_has_failed() {
        assert_eq!(first_state(Qos::AtMostOnce, false), MessageState::Failed);
    }
}
