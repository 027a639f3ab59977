//! The reads of groups and members, and what rows become. It decides nothing.
//!
//! What a caller asks to see is read through the cache; what says why a batch was refused is read from the store.

use std::collections::HashMap;

use crate::bindings::exports::mpim::im::groups::{Group, JoinPolicy, Member, Role};
use crate::rules::{self, Standing};
use crate::settings::{self, LONGEST_LIST};
use guest::cache::cached_one;
use guest::sql::{self, Read, Row, Value};
use guest::{Error, params};
use membership::Members;

impl Read for Role {
    fn read(value: &Value) -> Option<Self> {
        match i64::read(value)? {
            0 => Some(Self::Member),
            1 => Some(Self::Admin),
            2 => Some(Self::Owner),
            _ => None,
        }
    }
}

impl From<Role> for Value {
    fn from(role: Role) -> Self {
        Self::Integer(match role {
            Role::Member => 0,
            Role::Admin => 1,
            Role::Owner => 2,
        })
    }
}

impl Read for JoinPolicy {
    fn read(value: &Value) -> Option<Self> {
        match i64::read(value)? {
            0 => Some(Self::Open),
            1 => Some(Self::InviteOnly),
            _ => None,
        }
    }
}

impl From<JoinPolicy> for Value {
    fn from(join: JoinPolicy) -> Self {
        Self::Integer(match join {
            JoinPolicy::Open => 0,
            JoinPolicy::InviteOnly => 1,
        })
    }
}

/// A group from a row that begins with its id, name, owner, policy, number of members and birth.
pub(crate) fn group(row: &Row) -> Result<Group, Error> {
    let members = row.at(4)?;
    Ok(Group {
        id: row.at(0)?,
        name: row.at(1)?,
        owner: row.at(2)?,
        join: row.at(3)?,
        members,
        fan_out: rules::fan_out(members, settings::fan_out_threshold()),
        created_at: row.at(5)?,
    })
}

/// A group as the cache has it: name, owner, policy, number of members and birth.
type Kept = (String, u64, u8, u32, u64);

/// A group, through the cache; none where there is no such group.
pub(crate) async fn known(group_id: u64) -> Result<Option<Group>, Error> {
    let kept: Option<Kept> = cached_one(membership::group_key(group_id), membership::KEEP, async || {
        let sql = "SELECT name, owner_id, join_policy, member_count, created_at FROM chat_groups WHERE id = ?";
        let row = sql::query_one(sql, params![group_id]).await?;
        let kept = |row: Row| Ok((row.at(0)?, row.at(1)?, row.at(2)?, row.at(3)?, row.at(4)?));
        row.map(kept).transpose()
    })
    .await?;
    kept.map(|(name, owner, join, members, created_at)| {
        Ok(Group {
            id: group_id,
            name,
            owner,
            join: word(join)?,
            members,
            fan_out: rules::fan_out(members, settings::fan_out_threshold()),
            created_at,
        })
    })
    .transpose()
}

/// A word of the contract from its code in a column.
fn word<T: Read>(code: u8) -> Result<T, Error> {
    T::read(&Value::from(code)).ok_or_else(|| Error::internal("internal error"))
}

/// A group and the role of a user in it; none where there is no such group.
pub(crate) async fn standing(group_id: u64, user: u64) -> Result<Option<Standing>, Error> {
    let row = sql::query_one(
        "SELECT g.id, g.name, g.owner_id, g.join_policy, g.member_count, g.created_at, m.role \
         FROM chat_groups g LEFT JOIN members m ON m.conversation_id = g.id AND m.user_id = ? WHERE g.id = ?",
        params![user, group_id],
    )
    .await?;
    row.map(|row| {
        Ok(Standing {
            group: group(&row)?,
            role: row.at(6)?,
        })
    })
    .transpose()
}

/// The role of a user in a group.
pub(crate) async fn role(group_id: u64, user: u64) -> Result<Option<Role>, Error> {
    let sql = "SELECT role FROM members WHERE conversation_id = ? AND user_id = ?";
    let row = sql::query_one(sql, params![group_id, user]).await?;
    row.map(|row| row.at(0)).transpose()
}

/// The groups of a user, by id.
pub(crate) async fn groups_of(user: u64) -> Result<Vec<Group>, Error> {
    let rows = sql::query(
        "SELECT g.id, g.name, g.owner_id, g.join_policy, g.member_count, g.created_at \
         FROM members m JOIN chat_groups g ON g.id = m.conversation_id WHERE m.user_id = ? ORDER BY g.id LIMIT ?",
        params![user, LONGEST_LIST],
    )
    .await?;
    rows.iter().map(group).collect()
}

/// The ids of the groups of a user.
pub(crate) async fn group_ids_of(user: u64) -> Result<Vec<u64>, Error> {
    let rows = sql::query(
        "SELECT g.id FROM members m JOIN chat_groups g ON g.id = m.conversation_id WHERE m.user_id = ? LIMIT ?",
        params![user, LONGEST_LIST],
    )
    .await?;
    rows.iter().map(|row| row.at(0)).collect()
}

/// The same of several users; none when they are too many for one answer.
pub(crate) async fn batch_group_ids(users: &[u64]) -> Result<Option<HashMap<u64, Vec<u64>>>, Error> {
    let mut params: Vec<Value> = users.iter().copied().map(Value::from).collect();
    params.push(Value::from(u64::from(LONGEST_LIST) + 1));
    let placeholders = sql::placeholders(users.len());
    let rows = sql::query(
        format!(
            "SELECT m.user_id, g.id FROM members m JOIN chat_groups g ON g.id = m.conversation_id \
             WHERE m.user_id IN ({placeholders}) LIMIT ?"
        ),
        params,
    )
    .await?;
    if rows.len() > LONGEST_LIST as usize {
        return Ok(None);
    }
    let mut groups: HashMap<u64, Vec<u64>> = HashMap::new();
    for row in &rows {
        groups.entry(row.at(0)?).or_default().push(row.at(1)?);
    }
    Ok(Some(groups))
}

/// A page of members by user id, after one; empty, too, for a viewer who is no member. The list of a group that is not
/// too large is cached as a whole.
pub(crate) async fn members_page(group_id: u64, viewer: u64, after: u64, limit: u32) -> Result<Vec<Member>, Error> {
    let Members::Listed(members) = membership::members(group_id).await? else {
        return stored_page(group_id, viewer, after, limit).await;
    };
    if !members.iter().any(|member| member.user == viewer) {
        return Ok(Vec::new());
    }
    let page = members.into_iter().filter(|member| member.user > after);
    page.take(usize::try_from(limit).unwrap_or(usize::MAX))
        .map(|member| {
            Ok(Member {
                user: member.user,
                role: word(member.role)?,
                joined_at: member.joined_at,
            })
        })
        .collect()
}

async fn stored_page(group_id: u64, viewer: u64, after: u64, limit: u32) -> Result<Vec<Member>, Error> {
    let rows = sql::query(
        "SELECT m.user_id, m.role, m.joined_at \
         FROM chat_groups g \
         JOIN members v ON v.conversation_id = g.id AND v.user_id = ? \
         JOIN members m ON m.conversation_id = g.id AND m.user_id > ? \
         WHERE g.id = ? ORDER BY m.user_id LIMIT ?",
        params![viewer, after, group_id, limit],
    )
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Member {
                user: row.at(0)?,
                role: row.at(1)?,
                joined_at: row.at(2)?,
            })
        })
        .collect()
}
