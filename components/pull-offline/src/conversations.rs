//! The conversations of a user, each with its last message and what is unread.

use std::collections::HashMap;

use guest::sql::{self, Row};
use guest::{Caller, Error, params};
use message::{COLUMNS, bounded};

use crate::bindings::exports::mpim::im::pull_offline::Conversation;

const DEFAULT_LIMIT: u32 = 50;
const MOST: u32 = 200;
/// Where the counting of unread messages stops.
const MOST_UNREAD: u32 = 1000;
/// How many conversations one statement counts.
const COUNTED_AT_ONCE: usize = 50;

/// One read for the conversations, and one for each fifty that have something unread.
pub(crate) async fn conversations(caller: &Caller, limit: Option<u32>) -> Result<Vec<Conversation>, Error> {
    // A conversation of two is made just before its first message, which may still not be there.
    let rows = sql::query(
        format!(
            "SELECT c.id, c.user_low, c.user_high, c.last_seq, x.read_seq, x.joined_seq, p.read_seq, {COLUMNS} \
             FROM members x JOIN conversations c ON c.id = x.conversation_id \
             LEFT JOIN members p ON p.conversation_id = c.id \
             AND p.user_id = CASE WHEN c.user_low = x.user_id THEN c.user_high ELSE c.user_low END \
             LEFT JOIN messages m ON m.conversation_id = c.id AND m.seq = c.last_seq AND m.seq > x.joined_seq \
             WHERE x.user_id = ? AND (c.user_low IS NULL OR c.last_seq > 0) \
             ORDER BY c.last_at DESC, c.id DESC LIMIT ?"
        ),
        params![caller.user, bounded(limit, DEFAULT_LIMIT, MOST)],
    )
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    let mut behind = Vec::new();
    for row in &rows {
        let conversation = read(row, caller.user)?;
        let from = conversation.read_seq.max(row.at(5)?);
        if from < conversation.last_seq {
            behind.push((conversation.id, from));
        }
        found.push(conversation);
    }
    let unread = unread(caller.user, &behind).await?;
    for conversation in &mut found {
        conversation.unread = unread.get(&conversation.id).copied().unwrap_or(0);
    }
    Ok(found)
}

fn read(row: &Row, caller: u64) -> Result<Conversation, Error> {
    let id = row.at(0)?;
    let (low, high): (Option<u64>, Option<u64>) = (row.at(1)?, row.at(2)?);
    let has_last = row.at::<Option<u64>>(FIRST_OF_LAST)?.is_some();
    Ok(Conversation {
        id,
        peer: peer(low, high, caller),
        group: if low.is_none() { Some(id) } else { None },
        last_seq: row.at(3)?,
        last: if has_last {
            Some(message::read(row, FIRST_OF_LAST)?)
        } else {
            None
        },
        read_seq: row.at(4)?,
        unread: 0,
        peer_read_seq: row.at(6)?,
    })
}

/// Where the columns of the last message begin.
const FIRST_OF_LAST: usize = 7;

/// The other of the two users.
fn peer(low: Option<u64>, high: Option<u64>, caller: u64) -> Option<u64> {
    if low == Some(caller) { high } else { low }
}

/// How many messages of others are behind a seq, for each conversation. Counting stops early, which a
/// joined subquery could not do on every backend: hence one counting term a conversation.
async fn unread(caller: u64, behind: &[(u64, u64)]) -> Result<HashMap<u64, u32>, Error> {
    let mut counted = HashMap::with_capacity(behind.len());
    for chunk in behind.chunks(COUNTED_AT_ONCE) {
        let mut params = Vec::with_capacity(chunk.len() * 3);
        let mut terms = Vec::with_capacity(chunk.len());
        for (index, (conversation, from)) in chunk.iter().enumerate() {
            terms.push(format!(
                "SELECT {index} AS term, COUNT(*) AS unread FROM (SELECT m.seq FROM messages m \
                 WHERE m.conversation_id = ? AND m.seq > ? AND m.sender_id <> ? LIMIT {MOST_UNREAD}) t{index}"
            ));
            params.extend(params![*conversation, *from, caller]);
        }
        for row in &sql::query(terms.join(" UNION ALL "), params).await? {
            let index = usize::try_from(row.at::<u32>(0)?).unwrap_or(usize::MAX);
            if let Some((conversation, _)) = chunk.get(index) {
                counted.insert(*conversation, row.at(1)?);
            }
        }
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_the_other_user_and_nobody_in_a_group() {
        assert_eq!(peer(Some(1), Some(2), 1), Some(2));
        assert_eq!(peer(Some(1), Some(2), 2), Some(1));
        assert_eq!(peer(None, None, 1), None);
    }
}
