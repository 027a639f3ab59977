//! Before the curtain rises: accounts, groups and connections. What is made here is what all members share.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicU64;

use client::accounts::{enter, patiently, resume};
use client::address::Address;
use client::params::{ByGroup, ByName, Invite};
use client::records::{Grant, Group, Int};
use client::socket::Client;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use indicatif::ProgressBar;

use super::ledger::Ledger;
use super::play::{Circle, Play, SLICE_MEMBERS};
use crate::failure::Failure;

/// Passwords are hashed slowly on purpose: more registrations at once only wait for each other.
const REGISTRATIONS: usize = 8;
const CONNECTIONS: usize = 32;
/// What `groups.invite` takes at once.
const INVITATIONS: usize = 500;

/// What the members share.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) servers: Servers,
    pub(super) run: String,
    pub(super) play: Play,
    pub(super) ledger: Ledger,
    /// The user ids of the speakers.
    pub(super) users: Vec<u64>,
    pub(super) groups: Groups,
    pub(super) progress: Progress,
}

/// Where the service is: one server, or all of a cluster.
#[derive(Debug)]
pub(super) struct Servers {
    first: Address,
    others: Vec<Address>,
}

impl Servers {
    /// The servers in the order in which they are tried; there is at least one.
    pub(super) fn new(addresses: &[Address]) -> Option<Self> {
        let (first, others) = addresses.split_first()?;
        Some(Self {
            first: first.clone(),
            others: others.to_vec(),
        })
    }

    /// The server of a turn; the first follows the last.
    pub(super) fn of(&self, turn: usize) -> &Address {
        let chosen = turn % (self.others.len() + 1);
        chosen
            .checked_sub(1)
            .and_then(|other| self.others.get(other))
            .unwrap_or(&self.first)
    }
}

/// How far all of them are.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) sent: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) finished: AtomicU64,
}

/// A group of the performance.
#[derive(Debug, Clone)]
pub(super) struct GroupRef {
    pub(super) id: u64,
    /// Whether it is a large one: its messages are in no inbox.
    pub(super) large: bool,
}

/// The group of all, and the small ones in order.
#[derive(Debug)]
pub(super) struct Groups {
    all: GroupRef,
    slices: Vec<GroupRef>,
}

impl Groups {
    /// The group of a circle of a speaker.
    pub(super) fn of(&self, speaker: usize, circle: Circle) -> &GroupRef {
        match circle {
            Circle::All => &self.all,
            Circle::Slice => self.slices.get(speaker / SLICE_MEMBERS).unwrap_or(&self.all),
        }
    }

    /// How many small groups there are.
    pub(super) fn slices(&self) -> usize {
        self.slices.len()
    }

    /// The fan-out of the group of all and of the small ones, for the report.
    pub(super) fn fan_out(&self) -> [String; 2] {
        let name = |large| if large { "read" } else { "write" }.to_owned();
        [name(self.all.large), name(self.slices.iter().any(|slice| slice.large))]
    }
}

/// Makes an account for each speaker and logs in, a few at a time.
pub(super) async fn register(
    servers: &Servers,
    run: &str,
    speakers: usize,
    bar: &ProgressBar,
) -> Result<Vec<Grant>, Failure> {
    // The accounts outlive the run: their passwords are not to be guessed from the names.
    let secret = RandomState::new().hash_one(run);
    let enter = |index: usize| async move {
        let grant = enter(
            servers.of(index),
            &format!("{run}-{index}"),
            &format!("{secret:016x}-{index}"),
            "replay",
        )
        .await;
        bar.inc(1);
        grant
    };
    Ok(stream::iter(0..speakers)
        .map(enter)
        .buffered(REGISTRATIONS)
        .try_collect()
        .await?)
}

/// Makes the group of all and the small groups.
pub(super) async fn make_groups(
    address: &Address,
    run: &str,
    play: &Play,
    grants: &[Grant],
) -> Result<Groups, Failure> {
    let all = group(address, &format!("{run} all"), grants).await?;
    let mut slices = Vec::new();
    for (index, slice) in play.slices().enumerate() {
        let members = grants.get(slice).unwrap_or_default();
        slices.push(group(address, &format!("{run} {index}"), members).await?);
    }
    Ok(Groups { all, slices })
}

/// The first of the members makes the group and invites the others.
async fn group(address: &Address, name: &str, members: &[Grant]) -> Result<GroupRef, Failure> {
    let Some((owner, others)) = members.split_first() else {
        return Err(Failure::other(format!("the group {name} has no members")));
    };
    let mut client = resume(address, &owner.token).await?;
    let group: Group = patiently(&mut client, "groups.create", &ByName { name }).await?;
    let users: Vec<Int> = others.iter().map(|grant| grant.user).collect();
    for users in users.chunks(INVITATIONS) {
        let added: Vec<Int> = patiently(&mut client, "groups.invite", &Invite { group: group.id, users }).await?;
        if added.len() != users.len() {
            return Err(Failure::other(format!(
                "{} of {} were added to the group {name}",
                added.len(),
                users.len()
            )));
        }
    }
    let group: Group = patiently(&mut client, "groups.info", &ByGroup { group: group.id }).await?;
    client.close().await;
    if group.members as usize != members.len() {
        return Err(Failure::other(format!(
            "the group {name} has {} members of {}",
            group.members,
            members.len()
        )));
    }
    Ok(GroupRef {
        id: group.id.0,
        large: group.fan_out == "read",
    })
}

/// Opens a connection for each speaker, so that all hear from the first line on.
pub(super) async fn connect(servers: &Servers, grants: &[Grant]) -> Result<Vec<Client>, Failure> {
    let open = |(index, grant): (usize, &Grant)| {
        let token = grant.token.clone();
        async move { resume(servers.of(index), &token).await }
    };
    Ok(stream::iter(grants.iter().enumerate())
        .map(open)
        .buffered(CONNECTIONS)
        .try_collect()
        .await?)
}

#[cfg(test)]
mod tests {
    use super::Servers;
    use client::address::Address;

    #[test]
    fn servers_take_turns() -> Result<(), String> {
        let addresses: Vec<Address> = ["a:1", "b:1", "c:1"]
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()?;
        let servers = Servers::new(&addresses).ok_or("three servers")?;
        let order: Vec<&Address> = (0..7).map(|turn| servers.of(turn)).collect();
        let expected: Vec<&Address> = addresses.iter().cycle().take(7).collect();
        assert_eq!(order, expected);
        assert!(Servers::new(&[]).is_none());
        Ok(())
    }
}
