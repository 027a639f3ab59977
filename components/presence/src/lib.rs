//! Presence: who is online, on which device classes, and telling those who watch.
//!
//! A presence is a lease in the metadata store, renewed while its socket lives. A user whose leases
//! have ended reads as offline; nobody is told of that, since nobody was there to see it. When an offline user was last
//! online is written behind. Refuses to know who knows whom: the function that owns contacts says who watches.

#[expect(missing_docs, reason = "generated from WIT, where the documentation is")]
mod bindings;
mod last_seen;
mod rules;
mod store;
#[cfg(test)]
mod stories;

use bindings::exports::mpim::im::presence;
pub use bindings::exports::mpim::im::presence::{Guest as Presence, Status};
pub use bindings::exports::mpim::im::presence_lease::Guest as PresenceLease;
use bindings::exports::mpim::im::{presence_lease, presence_record};
use guest::{Audience, Caller, Connection, Error, PresenceChange, join_all};

/// The component: see `wit/im/presence.wit` for what each method promises.
pub struct Component;

impl presence::Guest for Component {
    async fn get_status(_caller: Caller, user: u64) -> Result<Status, Error> {
        let mut status = store::status(user).await?;
        last_seen::tell(std::slice::from_mut(&mut status)).await;
        Ok(status)
    }

    async fn batch_get_status(_caller: Caller, users: Vec<u64>) -> Result<Vec<Status>, Error> {
        rules::at_most_users(&users)?;
        let mut statuses = store::statuses(&users).await?;
        last_seen::tell(&mut statuses).await;
        Ok(statuses)
    }

    async fn count_online(_caller: Caller) -> Result<u64, Error> {
        store::count_online().await
    }
}

impl presence_lease::Guest for Component {
    async fn set_online(connection: Connection) -> Result<(), Error> {
        come(&[connection]).await
    }

    async fn set_offline(connection: Connection) -> Result<(), Error> {
        go(&[connection]).await
    }

    async fn batch_set_online(calls: Vec<Connection>) -> Result<Vec<Result<(), Error>>, Error> {
        guest::check_batch(calls.len())?;
        come(&calls).await?;
        Ok(vec![Ok(()); calls.len()])
    }

    async fn batch_set_offline(calls: Vec<Connection>) -> Result<Vec<Result<(), Error>>, Error> {
        guest::check_batch(calls.len())?;
        go(&calls).await?;
        Ok(vec![Ok(()); calls.len()])
    }

    async fn renew_presence(connections: Vec<Connection>) -> Result<(), Error> {
        store::renew(&connections).await
    }
}

impl presence_record::Guest for Component {
    async fn keep_last_seen() -> Result<(), Error> {
        last_seen::keep().await
    }
}

async fn come(connections: &[Connection]) -> Result<(), Error> {
    changed(store::add(connections).await?, true).await;
    Ok(())
}

async fn go(connections: &[Connection]) -> Result<(), Error> {
    changed(store::end(connections).await?, false).await;
    Ok(())
}

/// Users came or went: noted first, so that a watcher who is told and asks is told the same.
async fn changed(users: Vec<u64>, online: bool) {
    if users.is_empty() {
        return;
    }
    let at = guest::now_ms();
    last_seen::note(&users, at).await;
    match guest::relations::watchers(users.clone()).await {
        Ok(watchers) => {
            let watched = users.into_iter().zip(watchers);
            let watched = watched.filter(|(_, watchers)| !watchers.is_empty());
            join_all(watched.map(|(user, watchers)| tell(watchers, PresenceChange { user, online, at }))).await;
        }
        failed => guest::hint("presence", failed.map(drop)),
    }
}

async fn tell(watchers: Vec<u64>, change: PresenceChange) {
    let told = guest::notify::presence(Audience::users(watchers), change).await;
    guest::hint("presence", told);
}
