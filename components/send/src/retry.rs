//! The sweep: what was handed to a queue and not acknowledged in time is pushed again.
//!
//! Two nodes may sweep at once. A message belongs to the sweep whose claim moved its time of retry, so
//! that each is pushed once a turn. A claim that is followed by a crash costs one turn, not the message.

use std::collections::{BTreeMap, HashMap, HashSet};

use guest::route::{Decision, route_message};
use guest::sql::{Batch, Row};
use guest::telemetry::{Level, log};
use guest::{Error, Message, MessageState, config, hint, now_ms, params};
use message::{COLUMNS, before};

use crate::bounds::{fan_out_threshold, first_delay_ms};
use crate::{inbox, push};

/// The longest delay between two retries.
const LONGEST_DELAY_MS: u64 = 60_000;
/// How often a message is pushed again, unless `max-retries` says otherwise. Then the inbox keeps it for the pull.
const MOST_RETRIES: u32 = 8;
/// How many messages one sweep takes, unless `retry-batch` says otherwise; 400 at most.
const BATCH: u32 = 200;

/// Pushes what is due. Gives how many messages were handed on.
pub(crate) async fn pending() -> Result<u32, Error> {
    let now = now_ms();
    let due = due(now).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let (groups, direct): (Vec<Message>, Vec<Message>) = claim(due, now)
        .await?
        .into_iter()
        .partition(|message| message.group.is_some());
    let mut pushed = push_direct(direct).await?;
    for message in groups {
        push_group(message).await;
        pushed += 1;
    }
    Ok(pushed)
}

/// A message whose time has come.
struct Due {
    message: Message,
    retry_at: u64,
    retries: u32,
}

async fn due(now: u64) -> Result<Vec<Due>, Error> {
    let limit = config::value_or("retry-batch", BATCH).clamp(1, 400);
    let statement = format!(
        "SELECT {COLUMNS}, m.retry_at, m.retry_count FROM messages m \
         WHERE m.retry_at IS NOT NULL AND m.retry_at <= ? ORDER BY m.retry_at LIMIT ?"
    );
    let (rows, _) = message::page(&statement, params![now], limit).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Due, Error> {
    let (retry_at, retries) = (row.at(message::WIDTH)?, row.at(message::WIDTH + 1)?);
    Ok(Due {
        message: message::read(row, 0)?,
        retry_at,
        retries,
    })
}

/// Takes the messages for this sweep, all in one batch; gives those that no one else took, and that nobody
/// has acknowledged or taken back since they were read.
async fn claim(due: Vec<Due>, now: u64) -> Result<Vec<Message>, Error> {
    let (delay, most) = (first_delay_ms(), config::value_or("max-retries", MOST_RETRIES));
    let mut batch = Batch::new();
    for Due {
        message,
        retry_at,
        retries,
    } in &due
    {
        let next = next_retry(now, delay, *retries, most);
        batch = batch.step(
            format!(
                "UPDATE messages SET retry_at = ?, retry_count = retry_count + 1 \
                 WHERE id = ? AND retry_at = ? AND retry_count = ? AND {}",
                before(MessageState::Delivered)
            ),
            params![next, message.id, *retry_at, *retries],
        );
    }
    let claims = batch.run().await?;
    let claimed = due.into_iter().zip(claims).filter(|(_, claim)| claim.affected == 1);
    Ok(claimed.map(|(due, _)| due.message).collect())
}

/// When a message is pushed again after this time: twice the delay each time, up to the longest; none
/// when it was pushed often enough. `retries` is how often it was pushed again before.
fn next_retry(now: u64, first_delay: u64, retries: u32, most: u32) -> Option<u64> {
    let retries = retries.saturating_add(1);
    if retries >= most {
        return None;
    }
    let delay = first_delay.saturating_mul(1_u64.checked_shl(retries.min(63)).unwrap_or(u64::MAX));
    Some(now.saturating_add(delay.min(LONGEST_DELAY_MS)))
}

/// Pushes messages of two to the receivers that are online, each with its seq in their inbox.
///
/// Who is offline keeps their turns: the routes may have been lost with the store that held them and be
/// there again by the next turn, and who is really away costs one look a turn.
async fn push_direct(messages: Vec<Message>) -> Result<u32, Error> {
    let mut by_receiver: BTreeMap<u64, Vec<Message>> = BTreeMap::new();
    for message in messages {
        if let Some(to) = message.to {
            by_receiver.entry(to).or_default().push(message);
        }
    }
    if by_receiver.is_empty() {
        return Ok(0);
    }
    let (nodes, online) = routes(by_receiver.keys().copied().collect()).await;
    let mut pushed = 0;
    for (to, messages) in by_receiver {
        if online.as_ref().is_some_and(|online| !online.contains(&to)) {
            continue;
        }
        let seqs = seqs(to, &messages).await;
        for message in messages {
            let seq = seqs.get(&message.id).copied();
            push::message(nodes.clone(), vec![(to, seq)], None, message).await;
            pushed += 1;
        }
    }
    Ok(pushed)
}

/// Below the threshold a member's message is an entry of the inbox, and to find all entries again would
/// cost a search in each: the members are told how far their inboxes reach, and pull. From there on the
/// message itself goes to the topic.
async fn push_group(message: Message) {
    match inbox::heads_of_group(message.conversation, message.sender, fan_out_threshold()).await {
        Ok(heads) if !heads.is_empty() => push::pending(heads, &message).await,
        Ok(_) => push::topic(message.conversation, None, message).await,
        Err(error) => hint("pending", Err(error)),
    }
}

/// The nodes of some users, and who is online; every node, and anyone, when the routes cannot be had.
async fn routes(users: Vec<u64>) -> (Vec<String>, Option<HashSet<u64>>) {
    match route_message(users).await {
        Ok(Decision { nodes, online, .. }) => (nodes, Some(online.into_iter().collect())),
        Err(error) => {
            log(
                Level::Warn,
                "retries go to every node, for want of routes",
                &[("error", error.message)],
            );
            (Vec::new(), None)
        }
    }
}

/// The seqs of messages in the inbox of a user; a push without its seq is better than none.
async fn seqs(to: u64, messages: &[Message]) -> HashMap<u64, u64> {
    let ids: Vec<u64> = messages.iter().map(|message| message.id).collect();
    inbox::recent_seqs(to, &ids).await.unwrap_or_else(|error| {
        log(
            Level::Warn,
            "retries go out without their seqs",
            &[("error", error.message)],
        );
        HashMap::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<_> = (0..7).map(|retries| next_retry(0, 5_000, retries, 8)).collect();
        let expected = [10_000, 20_000, 40_000, 60_000, 60_000, 60_000, 60_000].map(Some);
        assert_eq!(delays, expected);
    }

    #[test]
    fn the_last_retry_has_no_next_one() {
        assert_eq!(next_retry(0, 5_000, 7, 8), None);
        assert_eq!(next_retry(0, 5_000, 0, 0), None);
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        assert_eq!(next_retry(u64::MAX, u64::MAX, 200, u32::MAX), Some(u64::MAX));
        assert_eq!(next_retry(7, 0, 3, 8), Some(7));
    }
}
