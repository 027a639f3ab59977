//! Inboxes, as their writers see them: a head that is raised under its row lock, and the entry at the
//! seq that the raising gave. Both happen in one batch, which is why seqs have no gaps.
//!
//! Users are named in the statements, not selected by a subquery: some backends answer an `UPDATE`
//! with `IN (SELECT …)` by walking, and locking, the whole table.

use std::collections::HashMap;

use guest::sql::{self, Batch, Found, Params, Row, Value};
use guest::{Error, params};

/// What an entry says of its message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Message,
    Recall,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Message => 0,
            Self::Recall => 1,
        }
    }
}

/// How far behind the head of an inbox the seq of a message is looked for.
pub(crate) const RECENT_SEQS: u64 = 10_000;

/// Makes the heads that are missing: nobody has one before their first entry. Safe to repeat, and
/// to lose against another one that does the same.
pub(crate) async fn open(users: &[u64]) -> Result<(), Error> {
    let placeholders = sql::placeholders(users.len());
    let made = sql::execute(
        format!(
            "INSERT INTO inbox_heads (user_id, last_seq) SELECT u.id, 0 FROM users u WHERE u.id IN ({placeholders}) \
             AND NOT EXISTS (SELECT 1 FROM inbox_heads h WHERE h.user_id = u.id)"
        ),
        values(users),
    )
    .await;
    match made {
        Ok(_) | Err(sql::Error::UniqueViolation(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Adds the guard that every user has a head; a batch that is unmet here calls for [`open`]. The guard
/// reads without locks, so that it never waits for, nor deadlocks with, the raising of a head.
#[must_use]
pub(crate) fn guard(batch: Batch, users: &[u64]) -> Batch {
    let mut params = values(users);
    params.push(count(users));
    batch.need(
        format!(
            "SELECT t.heads FROM (SELECT COUNT(*) AS heads FROM inbox_heads h WHERE h.user_id IN ({})) t \
             WHERE t.heads = ?",
            sql::placeholders(users.len())
        ),
        params,
    )
}

/// Adds the two statements that give each user an entry at the end of their inbox. The first needs a
/// row: it serves as the guard where there is one user only.
#[must_use]
pub(crate) fn append(batch: Batch, users: &[u64], kind: Kind, message: u64) -> Batch {
    let placeholders = sql::placeholders(users.len());
    let mut entry = params![kind.code(), message];
    entry.extend(values(users));
    batch
        .need(
            format!("UPDATE inbox_heads SET last_seq = last_seq + 1 WHERE user_id IN ({placeholders})"),
            values(users),
        )
        .step(
            format!(
                "INSERT INTO inbox (user_id, seq, kind, message_id) \
                 SELECT h.user_id, h.last_seq, ?, ? FROM inbox_heads h WHERE h.user_id IN ({placeholders})"
            ),
            entry,
        )
}

/// Adds the statement that makes room for so many entries at the end of the inbox of one user; a batch that is unmet here
/// calls for [`open`].
#[must_use]
pub(crate) fn raise(batch: Batch, user: u64, by: usize) -> Batch {
    batch.need(
        "UPDATE inbox_heads SET last_seq = last_seq + ? WHERE user_id = ?",
        params![u64::try_from(by).unwrap_or(u64::MAX), user],
    )
}

/// A message that goes into an inbox, where room was made.
pub(crate) struct Entry {
    pub(crate) user: u64,
    pub(crate) message: u64,
    /// What reads the last seq of the inbox since.
    pub(crate) last: Found,
    /// How many entries come after it that go into the same inbox.
    pub(crate) behind: u64,
}

/// Adds the statement that makes entries.
#[must_use]
pub(crate) fn enter(batch: Batch, entries: impl IntoIterator<Item = Entry>) -> Batch {
    let (mut values, mut rows) = (Params::default(), Vec::new());
    for Entry {
        user,
        message,
        last,
        behind,
    } in entries
    {
        let entry = values.give(params![user]).take(last);
        values = entry.give(params![behind, Kind::Message.code(), message]);
        rows.push("(?, ? - ?, ?, ?)");
    }
    batch.step(
        format!(
            "INSERT INTO inbox (user_id, seq, kind, message_id) VALUES {}",
            rows.join(", ")
        ),
        values,
    )
}

/// Adds the statement that reads each user's last seq, for [`cursors`].
#[must_use]
pub(crate) fn select_heads(batch: Batch, users: &[u64]) -> Batch {
    let placeholders = sql::placeholders(users.len());
    batch.step(
        format!("SELECT h.user_id, h.last_seq FROM inbox_heads h WHERE h.user_id IN ({placeholders})"),
        values(users),
    )
}

/// User and seq, from the rows of [`select_heads`].
pub(crate) fn cursors(rows: &[Row]) -> Result<Vec<(u64, Option<u64>)>, Error> {
    rows.iter().map(|row| Ok((row.at(0)?, Some(row.at(1)?)))).collect()
}

/// The seqs that messages have in the inbox of a user, by message; only recent ones are looked at,
/// from the end, until all are found.
pub(crate) async fn recent_seqs(user: u64, messages: &[u64]) -> Result<HashMap<u64, u64>, Error> {
    let mut params = params![user, user, RECENT_SEQS, Kind::Message.code()];
    params.extend(values(messages));
    params.push(count(messages));
    let rows = sql::query(
        format!(
            "SELECT i.message_id, i.seq FROM inbox i WHERE i.user_id = ? \
             AND i.seq > (SELECT h.last_seq FROM inbox_heads h WHERE h.user_id = ?) - ? \
             AND i.kind = ? AND i.message_id IN ({}) ORDER BY i.seq DESC LIMIT ?",
            sql::placeholders(messages.len())
        ),
        params,
    )
    .await?;
    rows.iter().map(|row| Ok((row.at(0)?, row.at(1)?))).collect()
}

/// How far the inboxes of a group's members reach, but that of one; nobody's when the group has no inboxes.
pub(crate) async fn heads_of_group(
    group: u64,
    except: u64,
    threshold: u32,
) -> Result<Vec<(u64, Option<u64>)>, guest::Error> {
    let rows = sql::query(
        "SELECT m.user_id, h.last_seq FROM chat_groups g JOIN members m ON m.conversation_id = g.id \
         JOIN inbox_heads h ON h.user_id = m.user_id WHERE g.id = ? AND g.member_count < ? AND m.user_id <> ?",
        params![group, threshold, except],
    )
    .await?;
    cursors(&rows)
}

/// Ids as parameters.
pub(crate) fn values(ids: &[u64]) -> Vec<Value> {
    ids.iter().copied().map(Value::from).collect()
}

/// How many ids there are, as a parameter.
pub(crate) fn count(ids: &[u64]) -> Value {
    Value::from(u64::try_from(ids.len()).unwrap_or(u64::MAX))
}
