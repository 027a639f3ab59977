//! Where the members of groups are.

use guest::sql::{self, Batch, Error as SqlError, Row};
use guest::{Caller, Error, params};
use message::record::End;

use crate::bindings::exports::mpim::im::group_pull::UnreadGroup;

/// How many groups one statement reads.
const STRIDE: u32 = 1000;
/// How many groups one answer names.
const MOST: usize = 10_000;

/// Where a member is in a group.
pub(crate) struct Standing {
    /// Messages up to here were sent before the member joined.
    pub(crate) joined: u64,
    pub(crate) cursor: u64,
    pub(crate) end: End,
}

/// Where the caller is in a group; `not-found` for who is no member.
pub(crate) async fn standing(caller: &Caller, group: u64) -> Result<Standing, Error> {
    let row = sql::query_one(
        "SELECT x.joined_seq, x.read_seq, c.last_seq, c.last_at FROM members x JOIN chat_groups g ON g.id = x.conversation_id \
         JOIN conversations c ON c.id = x.conversation_id WHERE x.conversation_id = ? AND x.user_id = ?",
        params![group, caller.user],
    )
    .await?;
    let row = row.ok_or_else(no_such_group)?;
    Ok(Standing {
        joined: row.at(0)?,
        cursor: row.at(1)?,
        end: read_end(&row, 2)?,
    })
}

/// How far a group reaches, for who is known to be a member.
pub(crate) async fn end(group: u64) -> Result<End, Error> {
    let row = sql::query_one(
        "SELECT c.last_seq, c.last_at FROM conversations c WHERE c.id = ?",
        params![group],
    )
    .await?;
    read_end(&row.ok_or_else(no_such_group)?, 0)
}

fn read_end(row: &Row, first: usize) -> Result<End, Error> {
    Ok(End {
        seq: row.at(first)?,
        at: row.at(first + 1)?,
    })
}

/// What anyone is told who is no member.
pub(crate) fn no_such_group() -> Error {
    Error::not_found("no such group")
}

/// Moves the cursor forward, in a write that checks what it needs; only a refusal is looked into.
pub(crate) async fn set(caller: &Caller, group: u64, cursor: u64) -> Result<(), Error> {
    let moved = Batch::new()
        .need(
            "SELECT c.last_seq FROM members x JOIN chat_groups g ON g.id = x.conversation_id \
             JOIN conversations c ON c.id = x.conversation_id \
             WHERE x.conversation_id = ? AND x.user_id = ? AND c.last_seq >= ?",
            params![group, caller.user, cursor],
        )
        .step(
            "UPDATE members SET read_seq = ? WHERE conversation_id = ? AND user_id = ? AND read_seq < ?",
            params![cursor, group, caller.user, cursor],
        )
        .run()
        .await;
    match moved {
        Ok(_) => Ok(()),
        Err(SqlError::Unmet(_)) => {
            standing(caller, group).await?;
            Err(Error::invalid("the cursor is past the end of the group"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Every group of the caller with messages behind the cursor, by id.
pub(crate) async fn unread(caller: &Caller) -> Result<Vec<UnreadGroup>, Error> {
    let mut groups: Vec<UnreadGroup> = Vec::new();
    loop {
        let after = groups.last().map_or(0, |group| group.group);
        let rows = sql::query(
            "SELECT c.id, c.last_seq, x.read_seq, x.joined_seq FROM members x \
             JOIN chat_groups g ON g.id = x.conversation_id JOIN conversations c ON c.id = x.conversation_id \
             WHERE x.user_id = ? AND x.conversation_id > ? AND c.last_seq > x.read_seq AND c.last_seq > x.joined_seq \
             ORDER BY x.conversation_id LIMIT ?",
            params![caller.user, after, STRIDE],
        )
        .await?;
        for row in &rows {
            groups.push(read(row)?);
        }
        if rows.len() < usize::try_from(STRIDE).unwrap_or(usize::MAX) {
            return Ok(groups);
        }
        if groups.len() >= MOST {
            return Err(Error::too_large(format!(
                "more than {MOST} groups have unread messages"
            )));
        }
    }
}

fn read(row: &Row) -> Result<UnreadGroup, Error> {
    let last_seq: u64 = row.at(1)?;
    let cursor = start(None, row.at(2)?, row.at(3)?);
    Ok(UnreadGroup {
        group: row.at(0)?,
        last_seq,
        cursor,
        unread: last_seq.saturating_sub(cursor),
    })
}

/// From where a member reads: the seq asked for, or the cursor, and never from before joining.
pub(crate) fn start(since: Option<u64>, cursor: u64, joined: u64) -> u64 {
    since.unwrap_or(cursor).max(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_reads_from_the_seq_asked_for_or_else_from_the_cursor() {
        assert_eq!(start(Some(3), 7, 0), 3);
        assert_eq!(start(None, 7, 0), 7);
    }

    #[test]
    fn nothing_from_before_joining_is_read() {
        assert_eq!(start(Some(0), 7, 5), 5);
        assert_eq!(start(None, 0, 5), 5);
    }
}
