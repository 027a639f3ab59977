//! The SQL of contacts and blocks.
//!
//! A contact has a row for each side, and both change in one batch. Every such batch begins by
//! taking the rows of both users, the lower id first, with updates that change nothing: on a store
//! with several writers, too, changes between two users come one after another. So a batch finds
//! the contact as the last one left it, needs no read before it, and two requests at once end as
//! one request and its acceptance.

use crate::bindings::exports::mpim::im::contacts::{Contact, ContactState, User};
use crate::rules::{self, MOST_WATCHERS};
use guest::sql::{self, Batch, Done, Read, Row, Value};
use guest::{Error, params};

/// Most users of whom `blocked` tells; no setting allows more.
const LONGEST_LIST: u32 = 10_000;

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
        let steps = match batch.run().await {
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
        match batch.run().await {
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
        match batch.run().await {
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
        match batch.run().await {
            Err(sql::Error::Unmet(WITHIN)) => Err(Error::too_large("the caller blocks as many users as one may")),
            outcome => known(outcome).map(|_| ()),
        }
    }

    /// Ends a block, where there is one.
    pub(crate) async fn unblock(self) -> Result<(), Error> {
        let sql = "DELETE FROM blocks WHERE owner_id = ? AND peer_id = ?";
        sql::execute(sql, params![self.caller, self.other]).await?;
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

/// The users whom one has blocked, by id.
pub(crate) async fn blocked(owner: u64) -> Result<Vec<u64>, Error> {
    let sql = "SELECT peer_id FROM blocks WHERE owner_id = ? ORDER BY peer_id LIMIT ?";
    users(sql::query(sql, params![owner, LONGEST_LIST]).await?)
}

/// The accepted contacts of a user whom the user has not blocked.
pub(crate) async fn watchers(user: u64) -> Result<Vec<u64>, Error> {
    let rows = sql::query(
        "SELECT c.peer_id FROM contacts c WHERE c.owner_id = ? AND c.state = ? \
         AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.owner_id = c.owner_id AND b.peer_id = c.peer_id) \
         ORDER BY c.peer_id LIMIT ?",
        params![user, ContactState::Accepted, MOST_WATCHERS],
    )
    .await?;
    users(rows)
}

fn users(rows: Vec<sql::Row>) -> Result<Vec<u64>, Error> {
    rows.iter().map(|row| row.at(0)).collect()
}

/// The user of a name.
pub(crate) async fn find(name_key: &str) -> Result<User, Error> {
    let row = sql::query_one("SELECT id, name FROM users WHERE name_key = ?", params![name_key]).await?;
    user(&row.ok_or_else(no_such_user)?)
}

/// The users of some ids that there are.
pub(crate) async fn by_ids(ids: Vec<u64>) -> Result<Vec<User>, Error> {
    let select = format!("SELECT id, name FROM users WHERE id IN ({})", sql::places(ids.len()));
    let rows = sql::query(select, ids.into_iter().map(Value::from).collect()).await?;
    rows.iter().map(user).collect()
}

fn user(row: &Row) -> Result<User, Error> {
    Ok(User {
        id: row.at(0)?,
        name: row.at(1)?,
    })
}
