//! A message from one user to another: one route, one batch, one push or two.

use guest::sql::{self, Batch, Error as SqlError};
use guest::{Caller, Error, Message, MessageState, Qos, Receipt, hint, ids, now_ms, params};
use message::{Code, before};

use crate::draft::Draft;
use crate::inbox::{self, Kind};
use crate::push::{self, Reach};
use crate::unplaced::{Unplaced, row};
use crate::{ROUNDS, contended, receipt, retry};

/// What became of the write.
enum Kept {
    /// The message, and its place in the inbox of the receiver unless it goes there at most once.
    New(Box<Message>, Option<u64>),
    /// It was kept before.
    Before(Receipt),
}

/// Keeps the message and pushes it. The answer stands as soon as the batch does.
pub(crate) async fn send(caller: &Caller, to: u64, draft: &Draft) -> Result<Receipt, Error> {
    if to == caller.user {
        return Err(Error::invalid("a message to oneself"));
    }
    let reach = Reach::find(to, caller.user).await;
    let (mut message, place) = match keep(caller, to, draft, &reach).await? {
        Kept::New(message, place) => (*message, place),
        Kept::Before(receipt) => return Ok(receipt),
    };
    let reach = if reach.receiver || draft.qos == Qos::AtMostOnce {
        reach
    } else {
        // The receiver may have connected between the route and the commit, and have pulled before the
        // commit: nothing would tell them. A connection is registered before it pulls, so that a route
        // asked for after the commit misses only those whose pull finds the message.
        let now = Reach::find(to, caller.user).await;
        Reach {
            receiver: now.receiver && hand_over(&mut message).await,
            ..now
        }
    };
    if reach.receiver {
        push::message(
            reach.nodes.clone(),
            vec![(to, place)],
            caller.connection,
            message.clone(),
        )
        .await;
    }
    let receipt = receipt::of(&message);
    if reach.sender {
        push::echo(reach.nodes, caller.user, caller.connection, message).await;
    }
    Ok(receipt)
}

/// Writes the message, and, where that is the reason why it cannot be written, what is there before a
/// first message: the conversation of the two, the inbox of the receiver.
async fn keep(caller: &Caller, to: u64, draft: &Draft, reach: &Reach) -> Result<Kept, Error> {
    for _ in 0..ROUNDS {
        let message = Unplaced::new(draft, caller.user, reach.receiver);
        match batch(&message, caller.user, to, draft.qos).run().await {
            Ok(done) => {
                let last = row(&done, done.len().saturating_sub(1))?;
                let place = if draft.qos == Qos::AtMostOnce {
                    None
                } else {
                    Some(last.at(2)?)
                };
                return Ok(Kept::New(Box::new(message.placed(last.at(0)?, last.at(1)?)), place));
            }
            Err(SqlError::Unmet(RECEIVER)) => return refused(caller.user, to, draft).await,
            Err(SqlError::Unmet(CONVERSATION)) => begin(caller.user, to).await?,
            Err(SqlError::Unmet(INBOX)) => inbox::open(&[to]).await?,
            Err(SqlError::UniqueViolation(_)) => {
                if let Some(receipt) = receipt::of_repeat(caller.user, draft).await? {
                    return Ok(Kept::Before(receipt));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(contended())
}

/// The statements of [`batch`] that may be unmet.
const RECEIVER: u32 = 0;
const CONVERSATION: u32 = 1;
const INBOX: u32 = 3;

/// The whole write. The row of the conversation is locked first and the head of the inbox second, by
/// everyone, so that places are given in the order of commits and two writers never wait for each other.
fn batch(message: &Unplaced<'_>, sender: u64, to: u64, qos: Qos) -> Batch {
    let (low, high) = ends(sender, to);
    let batch = Batch::new()
        .need(
            "SELECT u.id FROM users u WHERE u.id = ? \
             AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.owner_id = u.id AND b.peer_id = ?)",
            params![to, sender],
        )
        .need(
            "UPDATE conversations SET last_seq = last_seq + 1, last_at = ? WHERE user_low = ? AND user_high = ?",
            params![message.created_at, low, high],
        );
    let batch = message.insert(batch, "c.user_low = ? AND c.user_high = ?", params![low, high]);
    if qos == Qos::AtMostOnce {
        return batch.step(
            "SELECT c.id, c.last_seq FROM conversations c WHERE c.user_low = ? AND c.user_high = ?",
            params![low, high],
        );
    }
    inbox::append(batch, &[to], Kind::Message, message.id).step(
        "SELECT c.id, c.last_seq, h.last_seq FROM conversations c JOIN inbox_heads h ON h.user_id = ? \
         WHERE c.user_low = ? AND c.user_high = ?",
        params![to, low, high],
    )
}

/// Why the receiver cannot be sent to. A repeat of what was kept before is no new message: it has its
/// first receipt even when the receiver has blocked the sender since.
async fn refused(sender: u64, to: u64, draft: &Draft) -> Result<Kept, Error> {
    if let Some(receipt) = receipt::of_repeat(sender, draft).await? {
        return Ok(Kept::Before(receipt));
    }
    match sql::query_one("SELECT u.id FROM users u WHERE u.id = ?", params![to]).await? {
        Some(_) => Err(Error::blocked("the receiver has blocked the sender")),
        None => Err(Error::not_found("no such user")),
    }
}

/// Makes the conversation of two users, with both as members, unless the other makes it now.
async fn begin(one: u64, other: u64) -> Result<(), Error> {
    let (low, high) = ends(one, other);
    let (id, now) = (ids::next(), now_ms());
    let member = "INSERT INTO members (conversation_id, user_id, role, joined_at, joined_seq, read_seq) \
         VALUES (?, ?, 0, ?, 0, 0)";
    let made = Batch::new()
        .step(
            "INSERT INTO conversations (id, user_low, user_high, last_seq, last_at) VALUES (?, ?, ?, 0, ?)",
            params![id, low, high, now],
        )
        .step(member, params![id, low, now])
        .step(member, params![id, high, now])
        .run()
        .await;
    match made {
        Ok(_) | Err(SqlError::UniqueViolation(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Moves a message whose receiver has come online from `created` to `sending`, to be pushed again until
/// acknowledged; gives whether it was still `created`.
async fn hand_over(message: &mut Message) -> bool {
    let retry_at = now_ms().saturating_add(retry::first_delay_ms());
    let moved = sql::execute(
        format!(
            "UPDATE messages SET state = ?, retry_at = ? WHERE id = ? AND {}",
            before(MessageState::Sending)
        ),
        params![MessageState::Sending.code(), retry_at, message.id],
    )
    .await;
    match moved {
        Ok(0) => false,
        Ok(_) => {
            message.state = MessageState::Sending;
            true
        }
        Err(error) => {
            // The message is kept, only its state is behind: push it all the same.
            hint("state of a message", Err(error.into()));
            true
        }
    }
}

/// The two users of a conversation in the order of the store.
fn ends(one: u64, other: u64) -> (u64, u64) {
    if one < other { (one, other) } else { (other, one) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_of_two_is_the_same_from_both_ends() {
        assert_eq!(ends(1, 2), (1, 2));
        assert_eq!(ends(2, 1), (1, 2));
    }
}
