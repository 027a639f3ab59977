//! A message to a group: into the inbox of every member below the threshold, one row at or above it.

use guest::sql::{self, Batch, Error as SqlError};
use guest::{Caller, Error, Message, Qos, Receipt, params};
use membership::{MOST_LISTED, Members};
use message::record;

use crate::bounds::{ROUNDS, contended, fan_out_threshold};
use crate::draft::Draft;
use crate::inbox::{self, Kind, values};
use crate::unsequenced::{self, Conversation, Position, Unsequenced, row, rows};
use crate::{push, receipt};

/// How a group's message reaches its members.
#[derive(Debug, PartialEq)]
enum FanOut {
    /// The caller and everybody else, by user id.
    Write(Vec<u64>),
    Read,
}

/// Keeps the message and pushes it.
pub(crate) async fn send(caller: &Caller, group: u64, draft: &Draft) -> Result<Receipt, Error> {
    let mut cached = cached_fan_out(caller.user, group).await?;
    for _ in 0..ROUNDS {
        let known = match cached.take() {
            None => fan_out(caller.user, group).await?,
            known => known,
        };
        let Some(fan_out) = known else {
            break;
        };
        let message = Unsequenced::new(draft, caller.user, true);
        let batch = match &fan_out {
            // What goes to nobody's inbox needs no list of members, however few they are.
            FanOut::Write(_) if draft.qos == Qos::AtMostOnce => one_row(&message, caller.user, group, 0),
            FanOut::Write(members) => into_inboxes(&message, caller.user, group, members),
            FanOut::Read => one_row(&message, caller.user, group, fan_out_threshold()),
        };
        match batch.run().await {
            Ok(done) => {
                let heads = inbox::cursors(rows(&done, done.len().saturating_sub(1)))?;
                let message = message.sequenced(group, row(&done, SEQ)?.at(0)?);
                if fan_out == FanOut::Read {
                    // Before the push, which makes members ask for it.
                    record::put(message.clone()).await;
                }
                return Ok(tell(caller, group, message, heads).await);
            }
            Err(SqlError::Unmet(HEADS)) => {
                if let FanOut::Write(members) = &fan_out {
                    inbox::open(members).await?;
                }
            }
            // The group ended, its members changed or it crossed the threshold: look again, into the store.
            Err(SqlError::Unmet(_)) => {}
            Err(SqlError::UniqueViolation(_)) => {
                if let Some(receipt) = receipt::of_repeat(caller.user, draft).await? {
                    return Ok(receipt);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    // No such group for the caller, or too much change. A repeat of what was kept before has its first
    // receipt even when the sender has left since.
    if let Some(receipt) = receipt::of_repeat(caller.user, draft).await? {
        return Ok(receipt);
    }
    match fan_out(caller.user, group).await? {
        Some(_) => Err(contended()),
        None => Err(Error::not_found("no such group")),
    }
}

/// Pushes to the inboxes that have the message, or to whoever is there. A single row's batch ends with a
/// statement that reads nothing: it has no heads.
async fn tell(caller: &Caller, group: u64, message: Message, heads: Vec<(u64, Option<u64>)>) -> Receipt {
    let receipt = receipt::of(&message);
    if heads.is_empty() {
        push::topic(group, caller.connection, message).await;
    } else {
        push::message(Vec::new(), heads, caller.connection, message.clone()).await;
        push::echo(Vec::new(), caller.user, caller.connection, message).await;
    }
    receipt
}

/// What the cache knows of the way that the group's messages go: a hint, since the write guards that it is still
/// so, and none whenever it cannot be told for sure.
async fn cached_fan_out(caller: u64, group: u64) -> Result<Option<FanOut>, Error> {
    let threshold = usize::try_from(fan_out_threshold()).unwrap_or(usize::MAX);
    Ok(match membership::members(group).await? {
        Members::TooMany if threshold <= MOST_LISTED => Some(FanOut::Read),
        Members::TooMany => None,
        Members::Listed(members) if members.iter().all(|member| member.user != caller) => None,
        Members::Listed(members) if members.len() >= threshold => Some(FanOut::Read),
        Members::Listed(members) => Some(FanOut::Write(members.iter().map(|member| member.user).collect())),
    })
}

/// Which way the group's messages go now, and to whom; none unless the caller is a member. Either
/// branch of the read touches no more rows than it gives.
async fn fan_out(caller: u64, group: u64) -> Result<Option<FanOut>, Error> {
    let threshold = fan_out_threshold();
    let found = sql::query(
        "SELECT m.user_id, 1 FROM chat_groups g JOIN members m ON m.conversation_id = g.id \
         WHERE g.id = ? AND g.member_count < ? \
         UNION ALL \
         SELECT m.user_id, 0 FROM chat_groups g JOIN members m ON m.conversation_id = g.id AND m.user_id = ? \
         WHERE g.id = ? AND g.member_count >= ?",
        params![group, threshold, caller, group, threshold],
    )
    .await?;
    let mut members = Vec::with_capacity(found.len());
    let mut on_write = true;
    for row in &found {
        members.push(row.at(0)?);
        on_write = row.at(1)?;
    }
    if !members.contains(&caller) {
        return Ok(None);
    }
    members.sort_unstable();
    Ok(Some(if on_write { FanOut::Write(members) } else { FanOut::Read }))
}

/// The statement of the write that is unmet when a member has no inbox yet.
const HEADS: u32 = 2;
/// The statement whose row has the seq in the conversation.
const SEQ: usize = 1;

/// Where its only message goes.
fn position(group: u64) -> Position {
    Position {
        conversation: Conversation::Known(group),
        last: (SEQ, 0),
        behind: 0,
    }
}

/// The write that gives every other member an entry in their inbox.
fn into_inboxes(message: &Unsequenced<'_>, sender: u64, group: u64, members: &[u64]) -> Batch {
    let others: Vec<u64> = members.iter().copied().filter(|member| *member != sender).collect();
    let batch = only_members(raise(message, group), group, members);
    if others.is_empty() {
        return unsequenced::insert(batch, [(message, position(group))]);
    }
    let batch = inbox::guard(batch, &others);
    let batch = unsequenced::insert(batch, [(message, position(group))]);
    inbox::select_heads(inbox::append(batch, &others, Kind::Message, message.id), &others)
}

/// The write of one row, for a group of at least so many members.
fn one_row(message: &Unsequenced<'_>, sender: u64, group: u64, least: u32) -> Batch {
    let batch = raise(message, group).need(
        "SELECT c.last_seq FROM members m JOIN chat_groups g ON g.id = m.conversation_id \
         JOIN conversations c ON c.id = m.conversation_id \
         WHERE m.conversation_id = ? AND m.user_id = ? AND g.member_count >= ?",
        params![group, sender, least],
    );
    unsequenced::insert(batch, [(message, position(group))])
}

/// The first statement of every write. Whoever joins reads the last seq of the conversation: with its
/// row locked first, the members stay as the second statement sees them.
fn raise(message: &Unsequenced<'_>, group: u64) -> Batch {
    Batch::new().need(
        "UPDATE conversations SET last_seq = last_seq + 1, last_at = ? WHERE id = ?",
        params![message.created_at, group],
    )
}

/// Adds the guard that the group is below the threshold and has exactly these members: one who joined
/// since they were read would miss the message.
fn only_members(batch: Batch, group: u64, members: &[u64]) -> Batch {
    let mut params = params![group, fan_out_threshold()];
    params.push(inbox::count(members));
    params.extend(values(members));
    params.push(inbox::count(members));
    batch.need(
        format!(
            "SELECT c.last_seq FROM chat_groups g JOIN conversations c ON c.id = g.id \
             WHERE g.id = ? AND g.member_count < ? \
             AND (SELECT COUNT(*) FROM members m WHERE m.conversation_id = g.id) = ? \
             AND (SELECT COUNT(*) FROM members m WHERE m.conversation_id = g.id AND m.user_id IN ({})) = ?",
            sql::placeholders(members.len())
        ),
        params,
    )
}
