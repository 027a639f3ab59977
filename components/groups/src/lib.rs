//! Groups: who belongs to them, in which role, and which topics their members hear.
//!
//! A change is one guarded batch. Only when a guard refuses it is the group read, to say why; a
//! group that changed between the two is tried again, a few times. The component refuses to know
//! messages: it reads the last seq of a conversation and nothing of what was said in it.

mod announce;
mod bindings;
mod changes;
mod rules;
mod settings;
mod store;
#[cfg(test)]
mod stories;

use announce::Announcement;
use bindings::exports::mpim::im::group_topics;
use bindings::exports::mpim::im::groups::{self, Group, JoinPolicy, Member, Role};
use guest::{Caller, Connection, Error, ErrorCode, GroupChangeKind, join_all, now_ms};

/// How often a change is tried when the group changes between a refusal and the read that explains it.
const ROUNDS: u32 = 3;

/// The component: see `wit/im/groups.wit` for what each method promises.
pub struct Component;

impl groups::Guest for Component {
    async fn create(caller: Caller, name: String, join: Option<JoinPolicy>) -> Result<Group, Error> {
        rules::check_name(&name)?;
        let (id, owner, now) = (guest::ids::next(), caller.user, now_ms());
        let join = join.unwrap_or(JoinPolicy::Open);
        changes::create(id, owner, &name, join, now).await?;
        Announcement::new(&caller, id, now)
            .came(&[owner], GroupChangeKind::Joined)
            .await;
        let fan_out = rules::fan_out(1, settings::fan_out_threshold());
        Ok(Group {
            id,
            name,
            owner,
            join,
            members: 1,
            fan_out,
            created_at: now,
        })
    }

    async fn join(caller: Caller, group: u64) -> Result<Group, Error> {
        let now = now_ms();
        for _ in 0..ROUNDS {
            if let Some(joined) = changes::join(group, caller.user, now).await? {
                Announcement::new(&caller, group, now)
                    .came(&[caller.user], GroupChangeKind::Joined)
                    .await;
                return Ok(joined);
            }
            if let Some(known) = rules::judge_join(store::standing(group, caller.user).await?)? {
                // The answer, and with it the subscription, of the first join may have been lost.
                announce::subscribe(group, vec![caller.user]).await;
                return Ok(known);
            }
        }
        Err(contended())
    }

    async fn leave(caller: Caller, group: u64) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            if changes::leave(group, caller.user).await?.is_some() {
                return left(&caller, group).await;
            }
            let (known, role) = rules::member(store::standing(group, caller.user).await?)?;
            rules::judge_leave(&known, role)?;
            if role == Role::Owner && changes::end(group, caller.user).await?.is_some() {
                return left(&caller, group).await;
            }
        }
        Err(contended())
    }

    async fn invite(caller: Caller, group: u64, users: Vec<u64>) -> Result<Vec<u64>, Error> {
        let users = rules::invited(users)?;
        if users.is_empty() {
            return Ok(users);
        }
        let now = now_ms();
        for _ in 0..ROUNDS {
            if let Some(added) = changes::invite(group, caller.user, &users, now).await? {
                Announcement::new(&caller, group, now)
                    .came(&added, GroupChangeKind::Invited)
                    .await;
                return Ok(added);
            }
            let (known, role) = rules::member(store::standing(group, caller.user).await?)?;
            rules::judge_invite(&known, role)?;
        }
        Err(contended())
    }

    async fn remove(caller: Caller, group: u64, user: u64) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            if changes::remove(group, caller.user, user).await?.is_some() {
                Announcement::new(&caller, group, now_ms())
                    .went(user, GroupChangeKind::Removed)
                    .await;
                return Ok(());
            }
            let (_, role) = rules::member(store::standing(group, caller.user).await?)?;
            rules::judge_remove(role, store::role(group, user).await?)?;
        }
        Err(contended())
    }

    async fn set_role(caller: Caller, group: u64, user: u64, role: Role) -> Result<(), Error> {
        if role == Role::Owner {
            return Err(Error::invalid("a group gets its owner by a transfer only"));
        }
        for _ in 0..ROUNDS {
            if let Some(former) = changes::set_role(group, caller.user, user, role).await? {
                if former != role {
                    Announcement::new(&caller, group, now_ms())
                        .changed(user, GroupChangeKind::RoleChanged)
                        .await;
                }
                return Ok(());
            }
            let (_, own) = rules::member(store::standing(group, caller.user).await?)?;
            rules::judge_set_role(own, store::role(group, user).await?)?;
        }
        Err(contended())
    }

    async fn transfer(caller: Caller, group: u64, user: u64) -> Result<(), Error> {
        if user == caller.user {
            return Err(Error::invalid("a group is transferred to another member"));
        }
        for _ in 0..ROUNDS {
            if changes::transfer(group, caller.user, user).await?.is_some() {
                Announcement::new(&caller, group, now_ms())
                    .changed(user, GroupChangeKind::Transferred)
                    .await;
                return Ok(());
            }
            let (_, role) = rules::member(store::standing(group, caller.user).await?)?;
            rules::judge_transfer(role, store::role(group, user).await?)?;
        }
        Err(contended())
    }

    async fn members(caller: Caller, group: u64, after: Option<u64>, limit: Option<u32>) -> Result<Vec<Member>, Error> {
        let page = store::members_page(group, caller.user, after.unwrap_or(0), rules::page(limit)).await?;
        if page.is_empty() {
            // The page past the last member is empty; so is every page for someone outside.
            rules::member(store::standing(group, caller.user).await?)?;
        }
        Ok(page)
    }

    async fn mine(caller: Caller) -> Result<Vec<Group>, Error> {
        store::groups_of(caller.user).await
    }

    async fn info(caller: Caller, group: u64) -> Result<Group, Error> {
        let known = store::known(group).await?;
        let is_member = match &known {
            Some(known) if !rules::is_open(known) => membership::joined(group, caller.user).await?.is_some(),
            _ => false,
        };
        rules::visible(known, is_member)
    }
}

impl group_topics::Guest for Component {
    async fn topics(connection: Connection) -> Result<Vec<String>, Error> {
        Ok(topics(&store::group_ids_of(connection.user).await?))
    }

    async fn batch_topics(calls: Vec<Connection>) -> Result<Vec<Result<Vec<String>, Error>>, Error> {
        guest::check_batch(calls.len())?;
        let users: Vec<u64> = calls.iter().map(|connection| connection.user).collect();
        let Some(groups) = store::batch_group_ids(&users).await? else {
            // Too many for one answer of the store.
            return Ok(join_all(calls.into_iter().map(Self::topics)).await);
        };
        let of = |user| Ok(groups.get(user).map(|groups| topics(groups)).unwrap_or_default());
        Ok(users.iter().map(of).collect())
    }
}

fn topics(groups: &[u64]) -> Vec<String> {
    groups.iter().copied().map(announce::topic).collect()
}

async fn left(caller: &Caller, group: u64) -> Result<(), Error> {
    Announcement::new(caller, group, now_ms())
        .went(caller.user, GroupChangeKind::Left)
        .await;
    Ok(())
}

fn contended() -> Error {
    let message = "the group changed while this was tried".to_owned();
    Error {
        code: ErrorCode::Overloaded,
        message,
        retryable: true,
    }
}
