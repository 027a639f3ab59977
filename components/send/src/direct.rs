//! Messages from one user to another: one route, one batch, one push each.

use guest::sql::{self, Batch, Error as SqlError};
use guest::{Caller, Error, Message, MessageState, Qos, Receipt, hint, ids, join_all, now_ms, params};
use message::{Code, before};

use crate::bounds::{ROUNDS, contended, first_delay_ms};
use crate::draft::Draft;
use crate::inbox::{self, Entry};
use crate::push::Reach;
use crate::unsequenced::{self, Conversation, Position, Unsequenced, row};
use crate::{push, receipt};

/// What became of the write.
enum Kept {
    /// The messages, in their order.
    New(Vec<Sequenced>),
    /// The only one was kept before.
    Before(Receipt),
    /// One of many cannot be kept, and none was.
    Apart,
}

/// A message that is kept.
pub(crate) struct Sequenced {
    message: Message,
    /// Its seq in the inbox of the receiver, unless it goes there at most once.
    inbox_seq: Option<u64>,
    /// Whether it is still to be pushed.
    waits: bool,
}

impl Sequenced {
    pub(crate) fn new(message: Message, inbox_seq: Option<u64>) -> Self {
        Self {
            message,
            inbox_seq,
            waits: true,
        }
    }
}

/// Refuses what nobody can be sent.
pub(crate) fn check(caller: &Caller, to: u64) -> Result<(), Error> {
    match to == caller.user {
        true => Err(Error::invalid("a message to oneself")),
        false => Ok(()),
    }
}

/// Keeps messages to one receiver, in their order, and pushes them; all of them go into the inbox, or none does. Each
/// has its own answer, which stands as soon as it is kept: one that is refused costs the others nothing but a second
/// write.
pub(crate) async fn send(caller: &Caller, to: u64, drafts: &[Draft]) -> Vec<Result<Receipt, Error>> {
    let reach = Reach::find(to, caller).await;
    match keep(caller, to, drafts, &reach).await {
        Ok(Kept::New(messages)) => announce(caller, to, messages, reach).await,
        Ok(Kept::Before(receipt)) => vec![Ok(receipt)],
        Ok(Kept::Apart) => {
            let mut answers = Vec::with_capacity(drafts.len());
            for draft in drafts {
                answers.extend(Box::pin(send(caller, to, std::slice::from_ref(draft))).await);
            }
            answers
        }
        Err(error) => all(drafts, &error),
    }
}

/// The same answer to each.
pub(crate) fn all(drafts: &[Draft], error: &Error) -> Vec<Result<Receipt, Error>> {
    drafts.iter().map(|_| Err(error.clone())).collect()
}

/// Pushes messages that are kept, and gives their receipts.
pub(crate) async fn announce(
    caller: &Caller,
    to: u64,
    mut messages: Vec<Sequenced>,
    reach: Reach,
) -> Vec<Result<Receipt, Error>> {
    let reach = reach_now(caller, to, &mut messages, reach).await;
    let receipts = messages
        .iter()
        .map(|sequenced| Ok(receipt::of(&sequenced.message)))
        .collect();
    tell(caller, to, messages, reach).await;
    receipts
}

/// Where the users are after the write. The receiver may have connected between the route and the commit, and have
/// pulled before the commit: nothing would tell them. A connection is registered before it pulls, so that a route asked
/// for after the commit misses only those whose pull finds the message.
async fn reach_now(caller: &Caller, to: u64, messages: &mut [Sequenced], before: Reach) -> Reach {
    if before.receiver || messages.iter().any(|sequenced| sequenced.inbox_seq.is_none()) {
        return before;
    }
    let now = Reach::find(to, caller).await;
    if now.receiver {
        for sequenced in messages {
            sequenced.waits = hand_over(&mut sequenced.message).await;
        }
    }
    now
}

/// Pushes what was kept, all at once: it reaches the queue in this order.
async fn tell(caller: &Caller, to: u64, messages: Vec<Sequenced>, reach: Reach) {
    if reach.receiver {
        let waiting = messages.iter().filter(|sequenced| sequenced.waits);
        let pushes = waiting.map(|sequenced| {
            let receiver = vec![(to, sequenced.inbox_seq)];
            push::message(
                reach.nodes.clone(),
                receiver,
                caller.connection,
                sequenced.message.clone(),
            )
        });
        join_all(pushes).await;
    }
    if reach.sender {
        let (user, connection) = (caller.user, caller.connection);
        let echoes = messages
            .into_iter()
            .map(|sequenced| push::echo(reach.nodes.clone(), user, connection, sequenced.message));
        join_all(echoes).await;
    }
}

/// Writes messages, and, where that is the reason why they cannot be written, what is there before a
/// first message: the conversation of the two, the inbox of the receiver.
async fn keep(caller: &Caller, to: u64, drafts: &[Draft], reach: &Reach) -> Result<Kept, Error> {
    for _ in 0..ROUNDS {
        let messages: Vec<_> = drafts
            .iter()
            .map(|draft| Unsequenced::new(draft, caller.user, reach.receiver))
            .collect();
        let into_inbox = drafts.iter().all(|draft| draft.qos != Qos::AtMostOnce);
        match batch(&messages, caller.user, to, into_inbox).run().await {
            Ok(done) => {
                let seqs = row(&done, seqs_step(into_inbox))?;
                let (conversation, seq): (u64, u64) = (seqs.at(0)?, seqs.at(1)?);
                let inbox_seq: Option<u64> = if into_inbox { Some(seqs.at(2)?) } else { None };
                let sequenced = messages.iter().zip(behind(messages.len())).map(|(message, behind)| {
                    let message = message.sequenced(conversation, seq.saturating_sub(behind));
                    Sequenced::new(message, inbox_seq.map(|seq| seq.saturating_sub(behind)))
                });
                return Ok(Kept::New(sequenced.collect()));
            }
            Err(SqlError::Unmet(CONVERSATION)) => begin(caller.user, to).await?,
            Err(SqlError::Unmet(INBOX)) => inbox::open(&[to]).await?,
            Err(error) => match (error, drafts) {
                (SqlError::Unmet(RECEIVER), [draft]) => return refused(caller.user, to, draft).await,
                (SqlError::UniqueViolation(_), [draft]) => {
                    if let Some(receipt) = receipt::of_repeat(caller.user, draft).await? {
                        return Ok(Kept::Before(receipt));
                    }
                }
                (SqlError::Unmet(RECEIVER) | SqlError::UniqueViolation(_), _) => return Ok(Kept::Apart),
                (error, _) => return Err(error.into()),
            },
        }
    }
    Err(contended())
}

/// The statements of [`batch`] that may be unmet.
const RECEIVER: u32 = 0;
const CONVERSATION: u32 = 1;
const INBOX: u32 = 2;

/// The statement of [`batch`] that reads where the last message is: the conversation, the seq in it, and the seq in
/// the inbox where there is one.
fn seqs_step(into_inbox: bool) -> usize {
    if into_inbox { 3 } else { 2 }
}

/// The whole write. The row of the conversation is locked first and the head of the inbox second, by
/// everyone, so that seqs are given in the order of commits and two writers never wait for each other.
fn batch(messages: &[Unsequenced<'_>], sender: u64, to: u64, into_inbox: bool) -> Batch {
    let (low, high) = ends(sender, to);
    let count = u64::try_from(messages.len()).unwrap_or(0);
    let now = messages.last().map_or(0, |message| message.created_at);
    let seqs = seqs_step(into_inbox);
    let batch = Batch::new()
        .need(
            "SELECT u.id FROM users u LEFT JOIN blocks b ON b.owner_id = u.id AND b.peer_id = ? \
             WHERE u.id = ? AND b.peer_id IS NULL",
            params![sender, to],
        )
        .need(
            "UPDATE conversations SET last_seq = last_seq + ?, last_at = ? WHERE user_low = ? AND user_high = ?",
            params![count, now, low, high],
        );
    let positioned = || {
        messages.iter().zip(behind(messages.len())).map(|(message, behind)| {
            let position = Position {
                conversation: Conversation::Found((seqs, 0)),
                last: (seqs, 1),
                behind,
            };
            (message, position)
        })
    };
    if !into_inbox {
        let batch = batch.need(
            "SELECT c.id, c.last_seq FROM conversations c WHERE c.user_low = ? AND c.user_high = ?",
            params![low, high],
        );
        return unsequenced::insert(batch, positioned());
    }
    let batch = inbox::raise(batch, to, messages.len()).need(
        "SELECT c.id, c.last_seq, h.last_seq FROM conversations c JOIN inbox_heads h ON h.user_id = ? \
         WHERE c.user_low = ? AND c.user_high = ?",
        params![to, low, high],
    );
    let entries = positioned().map(|(message, position)| Entry {
        user: to,
        message: message.id,
        last: (seqs, 2),
        behind: position.behind,
    });
    inbox::enter(unsequenced::insert(batch, positioned()), entries)
}

/// For each of so many messages how many come after it.
fn behind(count: usize) -> impl Iterator<Item = u64> {
    (0..u64::try_from(count).unwrap_or(0)).rev()
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
    let retry_at = now_ms().saturating_add(first_delay_ms());
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
pub(crate) fn ends(one: u64, other: u64) -> (u64, u64) {
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
