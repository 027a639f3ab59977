//! The SQL of contacts and blocks.
//!
//! A contact has a row for each side, and both change in one batch. Every such batch begins by
//! taking the rows of both users, the lower id first, with updates that change nothing: on a store
//! with several writers, too, changes between two users come one after another. So a batch finds
//! the contact as the last one left it, needs no read before it, and two requests at once end as
//! one request and its acceptance.
//!
//! Users by id and name, watchers and blocks are read through the cache, and every change of a pair forgets
//! what it touches. What decides, in the batches here and in those of sending, is never read from the cache.

use std::collections::HashMap;

use crate::bindings::exports::mpim::im::contacts::{Contact, ContactState, User};
use crate::rules::{self, MOST_WATCHERS};
use guest::cache::{Keep, cached, cached_one, forget_after};
use guest::sql::{self, Batch, Done, Read, Row, Value};
use guest::{Error, join_all, params};

/// Most users of whom `blocked` tells; no setting allows more.
const LONGEST_LIST: u32 = 10_000;

/// A user is never renamed nor deleted.
const KEEP_USER: Keep = Keep::for_ms(600_000);
/// How long a relation may be read as it was when a change of it could not be forgotten.
const KEEP_RELATION: Keep = Keep::for_ms(30_000);

/// How many steps take the two users.
const TAKEN: u32 = 2;
const TAKE_USER: &str = "UPDATE users SET created_at = created_at WHERE id = ?";
const CHANGE: &str = "UPDATE contacts SET state = ?, created_at = ? WHERE owner_id = ? AND peer_id = ? AND state = ?";
/// Makes one side of a contact where there is none.
const ADD: &str = "INSERT INTO contacts (owner_id, peer_id, state, created_at) SELECT ?, id, ?, ? FROM users \
    WHERE id = ? AND NOT EXISTS (SELECT 1 FROM contacts c WHERE c.owner_id = ? AND c.peer_id = ?)";
const END: &str = "DELETE FROM contacts WHERE owner_id = ? AND peer_id = ?";

impl Read for ContactState {
    fn read(value: &Value) -> Option<Self> {
        match i64::read(value)? {
            0 => Some(Self::Requested),
            1 => Some(Self::Incoming),
            2 => Some(Self::Accepted),
            _ => None,
        }
    }
}

impl From<ContactState> for Value {
    fn from(state: ContactState) -> Self {
        Self::Integer(match state {
            ContactState::Requested => 0,
            ContactState::Incoming => 1,
            ContactState::Accepted => 2,
        })
    }
}

/// What a request came to: the state in which the caller's side is, and whether this request made it so.
#[derive(Debug, PartialEq)]
pub(crate) struct Requested {
    pub(crate) state: ContactState,
    pub(crate) changed: bool,
}

/// Two users, as the one who acts sees them.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) caller: u64,
    pub(crate) other: u64,
}

impl Pair {
    /// A pair of a caller and another user.
    pub(crate) fn new(caller: u64, user: u64) -> Result<Self, Error> {
        Ok(Self {
            caller,
            other: rules::other(caller, user)?,
        })
    }

    fn begin(self) -> Batch {
        let (low, high) = rules::in_order(self.caller, self.other);
        Batch::new()
            .need(TAKE_USER, params![low])
            .need(TAKE_USER, params![high])
    }

    /// Runs a change of the pair, and forgets what is cached of it.
    async fn run(self, batch: Batch) -> Result<Vec<Done>, sql::Error> {
        let outcome = batch.run().await;
        let keys = [
            watchers_key(self.caller),
            watchers_key(self.other),
            blocked_key(self.caller),
        ];
        forget_after(&outcome, keys.to_vec()).await;
        outcome
    }

    /// Asks the other, or accepts what the other asked before.
    pub(crate) async fn request(self, now: u64) -> Result<Requested, Error> {
        const BLOCKED: u32 = TAKEN;
        const ACCEPTED: usize = 3;
        const ADDED: usize = 5;
        const STATE: usize = 7;
        let Self { caller, other } = self;
        let batch = self
            .begin()
            .need(
                "SELECT id FROM users WHERE id = ? \
                 AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.owner_id = ? AND b.peer_id = ?)",
                params![other, other, caller],
            )
            .step(CHANGE, accept_params(caller, other, ContactState::Incoming, now))
            .step(CHANGE, accept_params(other, caller, ContactState::Requested, now))
            .step(ADD, add_params(caller, other, ContactState::Requested, now))
            .step(
                ADD,
                add_params(other, caller, rules::mirrored(ContactState::Requested), now),
            )
            .need(
                "SELECT state FROM contacts WHERE owner_id = ? AND peer_id = ?",
                params![caller, other],
            );
        let steps = match self.run(batch).await {
            Err(sql::Error::Unmet(BLOCKED)) => return Err(Error::blocked("the user has blocked the caller")),
            outcome => known(outcome)?,
        };
        let changed = affected(&steps, ACCEPTED) + affected(&steps, ADDED) > 0;
        let row = steps.get(STATE).and_then(|done| done.rows.first());
        let state = row.ok_or_else(|| Error::internal("internal error"))?.at(0)?;
        Ok(Requested { state, changed })
    }

    /// Accepts what the other asked; gives whether that was still to be done.
    pub(crate) async fn accept(self, now: u64) -> Result<bool, Error> {
        const ASKED: u32 = TAKEN;
        const ACCEPTED: usize = 3;
        let Self { caller, other } = self;
        let batch = self
            .begin()
            .need(
                "SELECT state FROM contacts WHERE owner_id = ? AND peer_id = ? AND state IN (?, ?)",
                params![caller, other, ContactState::Incoming, ContactState::Accepted],
            )
            .step(CHANGE, accept_params(caller, other, ContactState::Incoming, now))
            .step(CHANGE, accept_params(other, caller, ContactState::Requested, now));
        match self.run(batch).await {
            Err(sql::Error::Unmet(ASKED)) => Err(not_asked()),
            outcome => Ok(affected(&known(outcome)?, ACCEPTED) > 0),
        }
    }

    /// Ends what the other asked.
    pub(crate) async fn decline(self) -> Result<(), Error> {
        self.end([ContactState::Incoming; 2], not_asked()).await
    }

    /// Ends a contact, or what the caller asked.
    pub(crate) async fn remove(self) -> Result<(), Error> {
        let none = Error::not_found("the user is no contact and was not asked");
        self.end([ContactState::Requested, ContactState::Accepted], none).await
    }

    /// Ends both sides where that of the caller is in one of two states.
    async fn end(self, from: [ContactState; 2], none: Error) -> Result<(), Error> {
        const OWN_SIDE: u32 = TAKEN;
        let Self { caller, other } = self;
        let [one, another] = from;
        let batch = self
            .begin()
            .need(
                format!("{END} AND state IN (?, ?)"),
                params![caller, other, one, another],
            )
            .need(END, params![other, caller]);
        match self.run(batch).await {
            Err(sql::Error::Unmet(OWN_SIDE)) => Err(none),
            outcome => known(outcome).map(|_| ()),
        }
    }

    /// Blocks the other and ends the contact. No bound is met by a repeat.
    pub(crate) async fn block(self, now: u64) -> Result<(), Error> {
        const WITHIN: u32 = TAKEN + 3;
        let Self { caller, other } = self;
        let batch = self
            .begin()
            .step(
                "INSERT INTO blocks (owner_id, peer_id, created_at) SELECT ?, id, ? FROM users WHERE id = ? \
                 AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.owner_id = ? AND b.peer_id = ?)",
                params![caller, now, other, caller, other],
            )
            .step(END, params![caller, other])
            .step(END, params![other, caller])
            .need(
                "SELECT id FROM users WHERE id = ? AND (SELECT COUNT(*) FROM blocks b WHERE b.owner_id = ?) <= ?",
                params![caller, caller, max_blocks()],
            );
        match self.run(batch).await {
            Err(sql::Error::Unmet(WITHIN)) => Err(Error::too_large("the caller blocks as many users as one may")),
            outcome => known(outcome).map(|_| ()),
        }
    }

    /// Ends a block, where there is one.
    pub(crate) async fn unblock(self) -> Result<(), Error> {
        let sql = "DELETE FROM blocks WHERE owner_id = ? AND peer_id = ?";
        self.run(Batch::new().step(sql, params![self.caller, self.other]))
            .await?;
        Ok(())
    }
}

fn max_blocks() -> u32 {
    guest::config::value_or("max-blocks", 1000).min(LONGEST_LIST)
}

fn not_asked() -> Error {
    Error::not_found("the user has not asked")
}

fn no_such_user() -> Error {
    Error::not_found("no such user")
}

/// What a batch did, where both users were there.
fn known(outcome: Result<Vec<Done>, sql::Error>) -> Result<Vec<Done>, Error> {
    match outcome {
        Err(sql::Error::Unmet(step)) if step < TAKEN => Err(no_such_user()),
        outcome => Ok(outcome?),
    }
}

fn affected(steps: &[Done], step: usize) -> u64 {
    steps.get(step).map_or(0, |done| done.affected)
}

fn accept_params(owner: u64, peer: u64, from: ContactState, now: u64) -> Vec<Value> {
    params![ContactState::Accepted, now, owner, peer, from]
}

fn add_params(owner: u64, peer: u64, state: ContactState, now: u64) -> Vec<Value> {
    params![owner, state, now, peer, owner, peer]
}

/// A page of contacts and open requests by user id, after one.
pub(crate) async fn page(owner: u64, after: u64, limit: u32) -> Result<Vec<Contact>, Error> {
    let rows = sql::query(
        "SELECT u.id, u.name, c.state, CASE WHEN b.peer_id IS NULL THEN 0 ELSE 1 END, c.created_at \
         FROM contacts c JOIN users u ON u.id = c.peer_id \
         LEFT JOIN blocks b ON b.owner_id = c.owner_id AND b.peer_id = c.peer_id \
         WHERE c.owner_id = ? AND c.peer_id > ? ORDER BY c.peer_id LIMIT ?",
        params![owner, after, limit],
    )
    .await?;
    let contact = |row: &sql::Row| {
        Ok(Contact {
            user: row.at(0)?,
            name: row.at(1)?,
            state: row.at(2)?,
            blocked: row.at(3)?,
            since: row.at(4)?,
        })
    };
    rows.iter().map(contact).collect()
}

fn watchers_key(user: u64) -> String {
    format!("watchers/{user}")
}

fn blocked_key(user: u64) -> String {
    format!("blocked/{user}")
}

/// The users whom one has blocked, by id.
pub(crate) async fn blocked(owner: u64) -> Result<Vec<u64>, Error> {
    let sql = "SELECT peer_id FROM blocks WHERE owner_id = ? ORDER BY peer_id LIMIT ?";
    let load = async || users(sql, params![owner, LONGEST_LIST]).await;
    Ok(cached_one(blocked_key(owner), KEEP_RELATION, load)
        .await?
        .unwrap_or_default())
}

/// The accepted contacts of each of some users whom that user has not blocked.
pub(crate) async fn watchers(of: &[u64]) -> Result<Vec<Vec<u64>>, Error> {
    let sql = "SELECT c.peer_id FROM contacts c WHERE c.owner_id = ? AND c.state = ? \
         AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.owner_id = c.owner_id AND b.peer_id = c.peer_id) \
         ORDER BY c.peer_id LIMIT ?";
    // Each of them may have many: they are read apart, at once.
    let load = async |missing: &[usize]| {
        let missing = missing.iter().filter_map(|index| of.get(*index));
        let read = missing.map(|user| users(sql, params![*user, ContactState::Accepted, MOST_WATCHERS]));
        join_all(read).await.into_iter().collect()
    };
    let keys = of.iter().copied().map(watchers_key).collect();
    let found = cached(keys, KEEP_RELATION, load).await?;
    Ok(found.into_iter().map(Option::unwrap_or_default).collect())
}

/// The users that a read gives. That there are none is an answer as any other: it lives as long.
async fn users(sql: &str, params: Vec<Value>) -> Result<Option<Vec<u64>>, Error> {
    let rows = sql::query(sql, params).await?;
    rows.iter().map(|row| row.at(0)).collect::<Result<_, _>>().map(Some)
}

/// The user of a name. That nobody has it is not kept: the next one may register it.
pub(crate) async fn find(name_key: &str) -> Result<User, Error> {
    let found = cached_one(format!("name/{name_key}"), KEEP_USER.values_only(), async || {
        let row = sql::query_one("SELECT id, name FROM users WHERE name_key = ?", params![name_key]).await?;
        row.as_ref().map(named).transpose()
    });
    let (id, name) = found.await?.ok_or_else(no_such_user)?;
    Ok(User { id, name })
}

/// The users of some ids that there are, by id.
pub(crate) async fn by_ids(mut ids: Vec<u64>) -> Result<Vec<User>, Error> {
    ids.sort_unstable();
    ids.dedup();
    let keys = ids.iter().map(|id| format!("user/{id}")).collect();
    let names = cached(keys, KEEP_USER, async |missing| names(&ids, missing).await).await?;
    let users = ids.iter().zip(names);
    Ok(users
        .filter_map(|(id, name)| Some(User { id: *id, name: name? }))
        .collect())
}

/// The names of the ids at some indexes; none for an id that nobody has.
async fn names(ids: &[u64], indexes: &[usize]) -> Result<Vec<Option<String>>, Error> {
    let missing: Vec<u64> = indexes.iter().filter_map(|index| ids.get(*index)).copied().collect();
    let select = format!(
        "SELECT id, name FROM users WHERE id IN ({})",
        sql::placeholders(missing.len())
    );
    let rows = sql::query(select, missing.iter().copied().map(Value::from).collect()).await?;
    let mut names: HashMap<u64, String> = rows.iter().map(named).collect::<Result<_, _>>()?;
    Ok(missing.iter().map(|id| names.remove(id)).collect())
}

fn named(row: &Row) -> Result<(u64, String), Error> {
    Ok((row.at(0)?, row.at(1)?))
}
