//! Who belongs to which group, as several components read it through the cache.
//!
//! It owns the names and layouts of what is cached of groups, the reads behind them, and the one function that forgets them:
//! whoever writes members or groups calls [`forget_after`]. The components that use it name the same space of
//! the cache in the manifest. What a write decides is not its business: a batch asks the store itself, so
//! that what is read here may be old without a message being lost or misdirected.
//!
//! Bound: once a change of members was answered, nothing here gives what was before it, on any node. Only where
//! the change could not be forgotten (the cache was out of reach, the writer died in between), an answer may be as old
//! as [`KEEP`] says.

use guest::cache::{self, Keep, cached_one};
use guest::sql::{self, Error as SqlError, Row};
use guest::{Error, params};

/// How long a group and its members may be read as they were when a change of them could not be forgotten.
pub const KEEP: Keep = Keep::for_ms(30_000);

/// The largest group whose members are kept as one list.
pub const MOST_LISTED: usize = 500;

/// A member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: u64,
    /// As in the column `role`.
    pub role: u8,
    /// Milliseconds since the epoch.
    pub joined_at: u64,
}

/// Who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// All of them by user id; nobody, where there is no such group.
    Listed(Vec<Member>),
    /// More than [`MOST_LISTED`].
    TooMany,
}

/// The key of the row of a group, whose layout is that of the component `groups`.
pub fn group_key(group: u64) -> String {
    format!("group/{group}")
}

fn members_key(group: u64) -> String {
    format!("members/{group}")
}

fn joined_key(group: u64, user: u64) -> String {
    format!("joined/{group}/{user}")
}

/// Who belongs to a group.
pub async fn members(group: u64) -> Result<Members, Error> {
    let listed: Option<Listed> = cached_one(members_key(group), KEEP, async || load_members(group).await).await?;
    let (too_many, listed) = listed.unwrap_or_default();
    if too_many > 0 {
        return Ok(Members::TooMany);
    }
    let member = |(user, role, joined_at)| Member { user, role, joined_at };
    Ok(Members::Listed(listed.into_iter().map(member).collect()))
}

/// Whether there are too many, and where there are not: user, role and time of joining of each.
type Listed = (u8, Vec<(u64, u8, u64)>);

async fn load_members(group: u64) -> Result<Option<Listed>, Error> {
    let one_more = u32::try_from(MOST_LISTED).unwrap_or(u32::MAX).saturating_add(1);
    let rows = sql::query(
        "SELECT m.user_id, m.role, m.joined_at FROM chat_groups g JOIN members m ON m.conversation_id = g.id \
         WHERE g.id = ? ORDER BY m.user_id LIMIT ?",
        params![group, one_more],
    )
    .await?;
    if rows.is_empty() {
        return Ok(None);
    }
    if rows.len() > MOST_LISTED {
        return Ok(Some((1, Vec::new())));
    }
    let member = |row: &Row| Ok((row.at(0)?, row.at(1)?, row.at(2)?));
    let members = rows.iter().map(member).collect::<Result<_, Error>>()?;
    Ok(Some((0, members)))
}

/// The seq in the conversation of a group after which a user has joined it; none for who is no member.
pub async fn joined(group: u64, user: u64) -> Result<Option<u64>, Error> {
    let load = async || {
        let row = sql::query_one(
            "SELECT m.joined_seq FROM members m JOIN chat_groups g ON g.id = m.conversation_id \
             WHERE m.conversation_id = ? AND m.user_id = ?",
            params![group, user],
        );
        row.await?.map(|row| row.at(0)).transpose()
    };
    cached_one(joined_key(group, user), KEEP, load).await
}

/// Forgets a group, its members, and that these users belong to it or do not: to be called with the outcome of every
/// write of their rows.
pub async fn forget_after<T>(outcome: &Result<T, SqlError>, group: u64, users: &[u64]) {
    let joined = users.iter().map(|user| joined_key(group, *user));
    let keys = [group_key(group), members_key(group)].into_iter().chain(joined);
    cache::forget_after(outcome, keys.collect()).await;
}
