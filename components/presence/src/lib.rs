//! Presence: who is online, on which device classes, and telling those who watch.
//!
//! A presence is a lease in the metadata store, renewed while its socket lives. A user whose leases
//! have ended reads as offline; nobody is told of that, since nobody was there to see it. Refuses to know
//! who knows whom: the function that owns contacts says who watches.

mod bindings;
mod rules;
mod store;
#[cfg(test)]
mod stories;

use bindings::exports::mpim::im::presence::{self, Status};
use bindings::exports::mpim::im::presence_lease;
use guest::{Audience, Caller, Connection, Error, PresenceChange};

/// The component: see `wit/im/presence.wit` for what each method promises.
pub struct Component;

impl presence::Guest for Component {
    async fn get_status(_caller: Caller, user: u64) -> Result<Status, Error> {
        store::status(user).await
    }

    async fn batch_get_status(_caller: Caller, users: Vec<u64>) -> Result<Vec<Status>, Error> {
        rules::at_most_users(&users)?;
        store::statuses(&users).await
    }

    async fn count_online(_caller: Caller) -> Result<u64, Error> {
        store::count_online().await
    }
}

impl presence_lease::Guest for Component {
    async fn set_online(connection: Connection) -> Result<(), Error> {
        if store::add(&connection).await? {
            guest::hint("presence", tell_watchers(connection.user, true).await);
        }
        Ok(())
    }

    async fn set_offline(connection: Connection) -> Result<(), Error> {
        if store::end(&connection).await? {
            guest::hint("presence", tell_watchers(connection.user, false).await);
        }
        Ok(())
    }

    async fn renew_presence(connections: Vec<Connection>) -> Result<(), Error> {
        store::renew(&connections).await
    }
}

async fn tell_watchers(user: u64, online: bool) -> Result<(), Error> {
    let watchers = guest::relations::watchers(user).await?;
    if watchers.is_empty() {
        return Ok(());
    }
    let change = PresenceChange {
        user,
        online,
        at: guest::now_ms(),
    };
    guest::notify::presence(Audience::users(watchers), change).await
}
