//! The writes: each change of a group is one guarded batch, and none is decided by a read before it.
//!
//! A change of a group that exists begins by taking the row of its conversation, with an update
//! that changes nothing. Sending to the group takes the same row, so on a store with several
//! writers, too, changes and messages of one group come one after another: what a batch reads after
//! that still holds at its end, and a new member's first message is the one after `joined_seq`.
//! Rows are taken in one order everywhere, so that no two batches wait for each other: conversation,
//! then users by id, then the group, then members.
//!
//! A function that gives `None` was refused by a guard and kept nothing. Every other outcome forgets what is cached of
//! the group and of the users whose membership it touches.

use crate::bindings::exports::mpim::im::groups::{Group, JoinPolicy, Role};
use crate::{settings, store};
use guest::sql::{self, Batch, Done, Value};
use guest::{Error, params};

/// The first step of a change. It takes a conversation of two as well: a later step asks for the group.
const TAKE_CONVERSATION: &str = "UPDATE conversations SET last_seq = last_seq WHERE id = ?";
/// Orders changes of how many groups one user has.
const TAKE_USER: &str = "UPDATE users SET created_at = created_at WHERE id = ?";

/// Reaches a row when a user belongs to at most so many groups.
const WITHIN_GROUPS: &str = "SELECT id FROM users WHERE id = ? AND (SELECT COUNT(*) FROM members m \
    JOIN chat_groups g ON g.id = m.conversation_id WHERE m.user_id = ?) <= ?";
/// Reads the group when it has at most so many members.
const WITHIN_MEMBERS: &str = "SELECT id, name, owner_id, join_policy, member_count, created_at \
    FROM chat_groups WHERE id = ? AND member_count <= ?";
const ONE_LESS: &str = "UPDATE chat_groups SET member_count = member_count - 1 WHERE id = ?";

fn begin(group: u64) -> Batch {
    Batch::new().need(TAKE_CONVERSATION, params![group])
}

/// What a batch did; none when a guard refused it.
fn guarded(outcome: Result<Vec<Done>, sql::Error>) -> Result<Option<Vec<Done>>, Error> {
    match outcome {
        Err(sql::Error::Unmet(_) | sql::Error::UniqueViolation(_)) => Ok(None),
        outcome => Ok(outcome.map(Some)?),
    }
}

/// Runs a change of a group and of the membership of some users, and forgets what is cached of them.
async fn run(batch: Batch, group: u64, users: &[u64]) -> Result<Vec<Done>, sql::Error> {
    let outcome = batch.run().await;
    membership::forget_after(&outcome, group, users).await;
    outcome
}

async fn done(batch: Batch, group: u64, users: &[u64]) -> Result<Option<()>, Error> {
    Ok(guarded(run(batch, group, users).await)?.map(|_| ()))
}

fn too_many_groups() -> Error {
    Error::too_large("the user belongs to as many groups as one may")
}

fn full() -> Error {
    Error::too_large("the group has as many members as one may")
}

/// The rows that a step read.
fn rows(steps: &[Done], step: usize) -> &[sql::Row] {
    steps.get(step).map_or(&[], |done| done.rows.as_slice())
}

/// Makes a group with its owner as the only member.
pub(crate) async fn create(id: u64, owner: u64, name: &str, join: JoinPolicy, now: u64) -> Result<(), Error> {
    const WITHIN: u32 = 4;
    let batch = Batch::new()
        .need(TAKE_USER, params![owner])
        .step(
            "INSERT INTO conversations (id, user_low, user_high, last_seq, last_at) VALUES (?, NULL, NULL, 0, ?)",
            params![id, now],
        )
        .step(
            "INSERT INTO chat_groups (id, name, owner_id, join_policy, member_count, created_at) \
             VALUES (?, ?, ?, ?, 1, ?)",
            params![id, name, owner, join, now],
        )
        .step(
            "INSERT INTO members (conversation_id, user_id, role, joined_at, joined_seq, read_seq) \
             VALUES (?, ?, ?, ?, 0, 0)",
            params![id, owner, Role::Owner, now],
        )
        .need(WITHIN_GROUPS, params![owner, owner, settings::max_groups_per_user()]);
    match run(batch, id, &[owner]).await {
        Err(sql::Error::Unmet(WITHIN)) => Err(too_many_groups()),
        Err(sql::Error::Unmet(_)) => Err(Error::not_found("no such user")),
        outcome => Ok(outcome.map(|_| ())?),
    }
}

/// Adds a user to an open group. Refused for a member, too: the key of the row says so, before any bound does.
pub(crate) async fn join(group: u64, user: u64, now: u64) -> Result<Option<Group>, Error> {
    const WITHIN_USER: u32 = 4;
    const WITHIN_GROUP: u32 = 5;
    let batch = begin(group)
        .need(TAKE_USER, params![user])
        .need(
            "UPDATE chat_groups SET member_count = member_count + 1 WHERE id = ? AND join_policy = ?",
            params![group, JoinPolicy::Open],
        )
        .need(
            "INSERT INTO members (conversation_id, user_id, role, joined_at, joined_seq, read_seq) \
             SELECT id, ?, ?, ?, last_seq, last_seq FROM conversations WHERE id = ?",
            params![user, Role::Member, now, group],
        )
        .need(WITHIN_GROUPS, params![user, user, settings::max_groups_per_user()])
        .need(WITHIN_MEMBERS, params![group, settings::max_members()]);
    match run(batch, group, &[user]).await {
        Err(sql::Error::Unmet(WITHIN_USER)) => Err(too_many_groups()),
        Err(sql::Error::Unmet(WITHIN_GROUP)) => Err(full()),
        outcome => {
            let Some(steps) = guarded(outcome)? else {
                return Ok(None);
            };
            rows(&steps, WITHIN_GROUP as usize)
                .first()
                .map(store::group)
                .transpose()
        }
    }
}

/// Ends the membership of one who is not the owner.
pub(crate) async fn leave(group: u64, user: u64) -> Result<Option<()>, Error> {
    let batch = begin(group)
        .need(
            "DELETE FROM members WHERE conversation_id = ? AND user_id = ? AND role < ?",
            params![group, user, Role::Owner],
        )
        .need(ONE_LESS, params![group]);
    done(batch, group, &[user]).await
}

/// Ends a group whose only member is its owner. Its conversation and its messages are kept.
pub(crate) async fn end(group: u64, owner: u64) -> Result<Option<()>, Error> {
    let batch = begin(group)
        .need(
            "DELETE FROM chat_groups WHERE id = ? AND owner_id = ? AND member_count = 1",
            params![group, owner],
        )
        .need("DELETE FROM members WHERE conversation_id = ?", params![group]);
    done(batch, group, &[owner]).await
}

/// `user_id` columns of steps that read users.
fn users(steps: &[Done], step: usize) -> Result<Vec<u64>, Error> {
    rows(steps, step).iter().map(|row| row.at(0)).collect()
}

/// Parameters before and after a list of ids.
fn around(before: Vec<Value>, ids: &[u64], after: Vec<Value>) -> Vec<Value> {
    before
        .into_iter()
        .chain(ids.iter().copied().map(Value::from))
        .chain(after)
        .collect()
}

/// Fills a list of ids up to a power of two with its last, so that lists of any length make a few
/// different statements only; an id named twice is found once.
fn padded(ids: &[u64]) -> Vec<u64> {
    let Some(&last) = ids.last() else { return Vec::new() };
    let mut padded = ids.to_vec();
    padded.resize(ids.len().next_power_of_two(), last);
    padded
}

/// Adds those of the users who may be added, by one who may invite; gives those who were.
///
/// The number of members grows by those whom the batch really added: the named users who are members
/// are taken out of it before the insert, and put back, with the new ones, after it.
pub(crate) async fn invite(group: u64, by: u64, ids: &[u64], now: u64) -> Result<Option<Vec<u64>>, Error> {
    const BEFORE: usize = 3;
    const AFTER: usize = 6;
    const WITHIN_GROUP: u32 = 8;
    let invited = ids;
    let ids = padded(ids);
    let placeholders = sql::placeholders(ids.len());
    let named = format!("SELECT user_id FROM members WHERE conversation_id = ? AND user_id IN ({placeholders})");
    let counted = format!("(SELECT COUNT(*) FROM members WHERE conversation_id = ? AND user_id IN ({placeholders}))");
    let count =
        |sign: &str| format!("UPDATE chat_groups SET member_count = member_count {sign} {counted} WHERE id = ?");
    let batch = begin(group)
        .need(
            "SELECT m.role FROM chat_groups g JOIN members m ON m.conversation_id = g.id AND m.user_id = ? \
             WHERE g.id = ? AND (m.role >= ? OR g.join_policy = ?)",
            params![by, group, Role::Admin, JoinPolicy::Open],
        )
        .step(
            format!("UPDATE users SET created_at = created_at WHERE id IN ({placeholders})"),
            around(params![], &ids, params![]),
        )
        .step(named.clone(), around(params![group], &ids, params![]))
        .need(count("-"), around(params![group], &ids, params![group]))
        .step(add_sql(&placeholders), add_params(group, by, &ids, now))
        .step(named, around(params![group], &ids, params![]))
        .need(count("+"), around(params![group], &ids, params![group]))
        .need(WITHIN_MEMBERS, params![group, settings::max_members()]);
    let outcome = run(batch, group, invited).await;
    if let Err(sql::Error::Unmet(WITHIN_GROUP)) = outcome {
        return Err(full());
    }
    let Some(steps) = guarded(outcome)? else {
        return Ok(None);
    };
    let before = users(&steps, BEFORE)?;
    let mut added = users(&steps, AFTER)?;
    added.retain(|user| !before.contains(user));
    added.sort_unstable();
    Ok(Some(added))
}

/// Adds users who exist, are no members, have not blocked who invites, and have room for a group.
/// Room is asked of all conversations first: that count is read from an index alone and mostly answers.
fn add_sql(placeholders: &str) -> String {
    format!(
        "INSERT INTO members (conversation_id, user_id, role, joined_at, joined_seq, read_seq) \
         SELECT c.id, u.id, ?, ?, c.last_seq, c.last_seq FROM conversations c JOIN users u ON u.id IN ({placeholders}) \
         WHERE c.id = ? \
         AND NOT EXISTS (SELECT 1 FROM members m WHERE m.conversation_id = c.id AND m.user_id = u.id) \
         AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.owner_id = u.id AND b.peer_id = ?) \
         AND ((SELECT COUNT(*) FROM members a WHERE a.user_id = u.id) < ? \
         OR (SELECT COUNT(*) FROM members o JOIN chat_groups g ON g.id = o.conversation_id WHERE o.user_id = u.id) < ?)"
    )
}

fn add_params(group: u64, by: u64, ids: &[u64], now: u64) -> Vec<Value> {
    let room = settings::max_groups_per_user();
    around(params![Role::Member, now], ids, params![group, by, room, room])
}

/// Ends the membership of a user, by a member of a higher role.
pub(crate) async fn remove(group: u64, by: u64, user: u64) -> Result<Option<()>, Error> {
    let batch = begin(group)
        .need(
            "SELECT t.role FROM members t JOIN members a ON a.conversation_id = t.conversation_id AND a.role > t.role \
             WHERE t.conversation_id = ? AND t.user_id = ? AND a.user_id = ?",
            params![group, user, by],
        )
        .need(
            "DELETE FROM members WHERE conversation_id = ? AND user_id = ?",
            params![group, user],
        )
        .need(ONE_LESS, params![group]);
    done(batch, group, &[user]).await
}

/// Gives a role to a member who is not the owner, by the owner; gives the role of before.
pub(crate) async fn set_role(group: u64, by: u64, user: u64, role: Role) -> Result<Option<Role>, Error> {
    const FORMER: usize = 2;
    let batch = begin(group)
        .need(
            "SELECT id FROM chat_groups WHERE id = ? AND owner_id = ?",
            params![group, by],
        )
        .need(
            "SELECT role FROM members WHERE conversation_id = ? AND user_id = ? AND role < ?",
            params![group, user, Role::Owner],
        )
        .need(
            "UPDATE members SET role = ? WHERE conversation_id = ? AND user_id = ?",
            params![role, group, user],
        );
    let Some(steps) = guarded(run(batch, group, &[user]).await)? else {
        return Ok(None);
    };
    rows(&steps, FORMER).first().map(|row| row.at(0)).transpose()
}

/// Makes a member the owner, and the owner an admin.
pub(crate) async fn transfer(group: u64, by: u64, user: u64) -> Result<Option<()>, Error> {
    let give = "UPDATE members SET role = ? WHERE conversation_id = ? AND user_id = ?";
    let batch = begin(group)
        .need(
            "UPDATE chat_groups SET owner_id = ? WHERE id = ? AND owner_id = ?",
            params![user, group, by],
        )
        .need(give, params![Role::Admin, group, by])
        .need(give, params![Role::Owner, group, user]);
    done(batch, group, &[by, user]).await
}
