//! What a user has read of a conversation.

use guest::sql::{self, Batch};
use guest::{Caller, Error, ErrorCode, MessageState, StateChange, now_ms, params};
use message::{Code, before};

use crate::push;
use crate::unsequenced::rows;

/// How many messages of a conversation one batch goes forward.
const STRIDE: u64 = 1000;
/// How many batches one call makes.
const STRIDES: u32 = 1000;

/// Goes forward in strides: each is one batch that moves the position of the user and the messages up to it,
/// so that every message behind the position is `read` whenever a call ends, however it ends.
pub(crate) async fn mark(caller: &Caller, conversation: u64, up_to: u64) -> Result<u32, Error> {
    let Standing {
        mut position,
        last,
        group,
    } = standing(caller, conversation).await?;
    if up_to > last {
        return Err(Error::invalid("the position is past the end of the conversation"));
    }
    let mut read = 0;
    for _ in 0..STRIDES {
        if position >= up_to {
            return Ok(read);
        }
        // In a group, receipts are positions: there is no message to move.
        let end = if group { up_to } else { stride(position, up_to) };
        read += advance(caller, conversation, position, end, group).await?;
        position = end;
    }
    Err(Error {
        code: ErrorCode::Unavailable,
        message: "much is left to read, repeat to go on".to_owned(),
        retryable: true,
    })
}

/// Where a member is in a conversation.
struct Standing {
    position: u64,
    last: u64,
    group: bool,
}

async fn standing(caller: &Caller, conversation: u64) -> Result<Standing, Error> {
    let row = sql::query_one(
        "SELECT m.read_seq, c.last_seq, c.user_low FROM members m JOIN conversations c ON c.id = m.conversation_id \
         WHERE m.conversation_id = ? AND m.user_id = ?",
        params![conversation, caller.user],
    )
    .await?;
    let row = row.ok_or_else(|| Error::not_found("no such conversation"))?;
    Ok(Standing {
        position: row.at(0)?,
        last: row.at(1)?,
        group: row.at::<Option<u64>>(2)?.is_none(),
    })
}

/// The end of the next stride.
fn stride(position: u64, up_to: u64) -> u64 {
    up_to.min(position.saturating_add(STRIDE))
}

/// Moves from a position to another, and tells the sender of what lies between.
async fn advance(caller: &Caller, conversation: u64, from: u64, to: u64, group: bool) -> Result<u32, Error> {
    let now = now_ms();
    let batch = Batch::new().step(
        "UPDATE members SET read_seq = ? WHERE conversation_id = ? AND user_id = ? AND read_seq < ?",
        params![to, conversation, caller.user, to],
    );
    if group {
        batch.run().await?;
        return Ok(0);
    }
    let between = format!(
        "conversation_id = ? AND seq > ? AND seq <= ? AND recipient_id = ? AND {}",
        before(MessageState::Read)
    );
    let mut moved = params![MessageState::Read.code(), now, now, now];
    moved.extend(params![conversation, from, to, caller.user]);
    let done = batch
        .step(
            format!("SELECT id, sender_id FROM messages WHERE {between} ORDER BY seq"),
            params![conversation, from, to, caller.user],
        )
        .step(
            format!(
                "UPDATE messages SET state = ?, read_at = ?, delivered_at = COALESCE(delivered_at, ?), \
                 sent_at = COALESCE(sent_at, ?), retry_at = NULL WHERE {between}"
            ),
            moved,
        )
        .run()
        .await?;
    // There is one other user, so one sender.
    let mut sender = None;
    let mut messages = Vec::new();
    for row in rows(&done, 1) {
        messages.push(row.at(0)?);
        sender = Some(row.at(1)?);
    }
    if let Some(sender) = sender {
        let change = StateChange {
            conversation,
            by: caller.user,
            messages,
            state: MessageState::Read,
            at: now,
        };
        push::receipt(sender, change).await;
    }
    Ok(done
        .get(2)
        .map_or(0, |update| u32::try_from(update.affected).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_reach_the_end_and_stop_there() {
        assert_eq!(stride(0, 5), 5);
        assert_eq!(stride(0, 1001), 1000);
        assert_eq!(stride(1000, 1001), 1001);
    }
}
