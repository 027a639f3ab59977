//! Contacts and blocks: who knows whom, and who wants nothing of whom.
//!
//! A change between two users is one batch over both sides, after which the other is told. The
//! component refuses to know presence and messages: those ask it, or read its blocks.

#[expect(missing_docs, reason = "generated from WIT, where the documentation is")]
mod bindings;
mod rules;
mod store;
#[cfg(test)]
mod stories;

pub use bindings::exports::mpim::im::contacts::Guest as Contacts;
use bindings::exports::mpim::im::contacts::{self, Contact, ContactState, User};
use bindings::exports::mpim::im::relations;
pub use bindings::exports::mpim::im::relations::Guest as Relations;
use guest::{Audience, Caller, ContactChange, ContactChangeKind, Error, hint, notify, now_ms};
use store::Pair;

/// The component: see `wit/im/contacts.wit` for what each method promises.
pub struct Component;

impl contacts::Guest for Component {
    async fn request(caller: Caller, user: u64) -> Result<ContactState, Error> {
        let pair = Pair::new(caller.user, user)?;
        let now = now_ms();
        let requested = pair.request(now).await?;
        if requested.changed {
            let change = match requested.state {
                ContactState::Accepted => ContactChangeKind::Accepted,
                ContactState::Requested | ContactState::Incoming => ContactChangeKind::Requested,
            };
            tell(pair, change, now).await;
        }
        Ok(requested.state)
    }

    async fn accept(caller: Caller, user: u64) -> Result<(), Error> {
        let pair = Pair::new(caller.user, user)?;
        let now = now_ms();
        if pair.accept(now).await? {
            tell(pair, ContactChangeKind::Accepted, now).await;
        }
        Ok(())
    }

    async fn decline(caller: Caller, user: u64) -> Result<(), Error> {
        let pair = Pair::new(caller.user, user)?;
        pair.decline().await?;
        tell(pair, ContactChangeKind::Declined, now_ms()).await;
        Ok(())
    }

    async fn remove(caller: Caller, user: u64) -> Result<(), Error> {
        let pair = Pair::new(caller.user, user)?;
        pair.remove().await?;
        tell(pair, ContactChangeKind::Removed, now_ms()).await;
        Ok(())
    }

    async fn list(caller: Caller, after: Option<u64>, limit: Option<u32>) -> Result<Vec<Contact>, Error> {
        store::page(caller.user, after.unwrap_or(0), rules::page(limit)).await
    }

    async fn block(caller: Caller, user: u64) -> Result<(), Error> {
        Pair::new(caller.user, user)?.block(now_ms()).await
    }

    async fn unblock(caller: Caller, user: u64) -> Result<(), Error> {
        Pair::new(caller.user, user)?.unblock().await
    }

    async fn blocked(caller: Caller) -> Result<Vec<u64>, Error> {
        store::blocked(caller.user).await
    }

    async fn find(_caller: Caller, name: String) -> Result<User, Error> {
        store::find(&rules::name_key(&name)?).await
    }

    async fn users(_caller: Caller, users: Vec<u64>) -> Result<Vec<User>, Error> {
        store::by_ids(rules::ids(users)?).await
    }
}

impl relations::Guest for Component {
    async fn watchers(users: Vec<u64>) -> Result<Vec<Vec<u64>>, Error> {
        guest::check_batch(users.len())?;
        store::watchers(&users).await
    }
}

/// Tells the other what the caller did.
async fn tell(pair: Pair, change: ContactChangeKind, at: u64) {
    let body = ContactChange {
        user: pair.caller,
        change,
        at,
    };
    hint("contact", notify::contact(Audience::users([pair.other]), body).await);
}
