//! Where presences are kept: a set for each user with a member for each connection, and one set of
//! all users that are online.
//!
//! The set of all users is also what decides who tells the contacts: the metadata store says of each
//! member whether it is new, and of each removal whether it ended something, so that of several
//! connections at the same moment exactly one is the first, and exactly one the last.

use guest::metadata::{self, Lease};
use guest::{Connection, Error, telemetry};

use crate::bindings::exports::mpim::im::presence::Status;
use crate::rules;

const ONLINE: &str = "online";
const DEFAULT_LEASE_TTL_MS: u64 = 90_000;

fn user_set(user: u64) -> String {
    format!("presence/{user}")
}

fn presence_lease(connection: &Connection, ttl_ms: u64) -> Lease {
    Lease {
        set: user_set(connection.user),
        member: rules::member(connection),
        ttl_ms,
    }
}

fn online_lease(user: u64, ttl_ms: u64) -> Lease {
    Lease {
        set: ONLINE.to_owned(),
        member: user.to_string(),
        ttl_ms,
    }
}

fn lease_ttl_ms() -> u64 {
    guest::config::value_or("lease-ttl-ms", DEFAULT_LEASE_TTL_MS)
}

/// Adds the presences of connections; the users that came online with them.
pub(crate) async fn add(connections: &[Connection]) -> Result<Vec<u64>, Error> {
    if connections.is_empty() {
        return Ok(Vec::new());
    }
    let ttl_ms = lease_ttl_ms();
    let of = |connection| {
        [
            presence_lease(connection, ttl_ms),
            online_lease(connection.user, ttl_ms),
        ]
    };
    let new = metadata::put(connections.iter().flat_map(of).collect()).await?;
    // The second of each two is that of the user.
    let came = connections.iter().zip(new.chunks_exact(2));
    let came = came.filter(|(_, new)| new.last().copied().unwrap_or(false));
    Ok(came.map(|(connection, _)| connection.user).collect())
}

/// Ends the presences of connections; the users that went offline with them.
pub(crate) async fn end(connections: &[Connection]) -> Result<Vec<u64>, Error> {
    let presence = |connection: &Connection| (user_set(connection.user), rules::member(connection));
    remove(connections.iter().map(presence)).await?;
    let without = offline(rules::users(connections)).await?;
    let online = |user: &u64| (ONLINE.to_owned(), user.to_string());
    let ended = remove(without.iter().map(online)).await?;
    let went: Vec<u64> = without
        .into_iter()
        .zip(ended)
        .filter_map(|(user, ended)| ended.then_some(user))
        .collect();
    // Another connection may have come between the look and the removal. It found the user online
    // and told no one, so that the user is to stay online.
    let offline = offline(went.clone()).await?;
    let ttl_ms = lease_ttl_ms();
    let came = went.iter().filter(|user| !offline.contains(user));
    let again: Vec<Lease> = came.map(|user| online_lease(*user, ttl_ms)).collect();
    if !again.is_empty() {
        metadata::put(again).await?;
    }
    Ok(offline)
}

/// Those users who have no presence.
async fn offline(users: Vec<u64>) -> Result<Vec<u64>, Error> {
    let statuses = statuses(&users).await?;
    Ok(statuses
        .into_iter()
        .filter(|status| !status.online)
        .map(|status| status.user)
        .collect())
}

/// Ends leases, all at once; whether each was alive. All are tried.
async fn remove(leases: impl Iterator<Item = (String, String)>) -> Result<Vec<bool>, Error> {
    let removed = guest::join_all(leases.map(|(set, member)| metadata::remove(set, member))).await;
    removed.into_iter().collect()
}

/// Renews the presences of connections in one call.
pub(crate) async fn renew(connections: &[Connection]) -> Result<(), Error> {
    if connections.is_empty() {
        return Ok(());
    }
    let ttl_ms = lease_ttl_ms();
    let presences = connections.iter().map(|connection| presence_lease(connection, ttl_ms));
    let online = rules::users(connections)
        .into_iter()
        .map(|user| online_lease(user, ttl_ms));
    metadata::put(presences.chain(online).collect()).await?;
    Ok(())
}

/// The status of a user.
pub(crate) async fn status(user: u64) -> Result<Status, Error> {
    Ok(statuses(&[user])
        .await?
        .pop()
        .unwrap_or_else(|| rules::status(user, &[])))
}

/// One status each, in the order asked.
pub(crate) async fn statuses(users: &[u64]) -> Result<Vec<Status>, Error> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let sets = metadata::members(users.iter().copied().map(user_set).collect()).await?;
    count_undecodable(&sets);
    Ok(users
        .iter()
        .zip(&sets)
        .map(|(user, members)| rules::status(*user, members))
        .collect())
}

/// How many users are online.
pub(crate) async fn count_online() -> Result<u64, Error> {
    metadata::count(ONLINE.to_owned()).await
}

/// An operator shall see that something else writes into the sets; no call fails for it.
fn count_undecodable(sets: &[Vec<String>]) {
    let undecodable = sets
        .iter()
        .flatten()
        .filter(|member| rules::device_class(member).is_none())
        .count();
    if undecodable > 0 {
        telemetry::count(
            "mpim_presences_undecodable",
            u64::try_from(undecodable).unwrap_or(u64::MAX),
        );
    }
}
