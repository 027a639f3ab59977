//! Accounts and sessions in SQL. A session is live until it is ended or its time has come.

use std::collections::{HashMap, HashSet};

use guest::sql::{self, Batch, Row, Value};
use guest::{Error, Identity, params};

use crate::bindings::exports::mpim::im::login::Session;
use crate::rules::{self, Policy};

/// How many sessions one query asks about.
const SESSIONS_IN_ONE_QUERY: usize = 200;

/// How many sessions a list gives, whatever the limit of live sessions was once.
const MOST_SESSIONS_LISTED: u32 = 1000;

/// The account behind a name.
pub(crate) struct Account {
    pub(crate) user: u64,
    pub(crate) password_hash: String,
}

/// A session about to be opened.
pub(crate) struct NewSession {
    pub(crate) id: u64,
    pub(crate) device: String,
    pub(crate) device_class: String,
    pub(crate) token_hash: String,
    pub(crate) created_at: u64,
    pub(crate) expires_at: u64,
}

/// Keeps a new account; `already-exists` when another has the name.
pub(crate) async fn create_account(
    user: u64,
    name: &str,
    name_key: String,
    password_hash: String,
    now: u64,
) -> Result<(), Error> {
    let kept = sql::execute(
        "INSERT INTO users (id, name, name_key, password_hash, created_at) VALUES (?, ?, ?, ?, ?)",
        params![user, name, name_key, password_hash, now],
    );
    match kept.await {
        Ok(_) => Ok(()),
        Err(sql::Error::UniqueViolation(_)) => Err(Error::already_exists("the name is taken")),
        Err(error) => Err(error.into()),
    }
}

/// The account of a name.
pub(crate) async fn account(name_key: &str) -> Result<Option<Account>, Error> {
    let row = sql::query_one(
        "SELECT id, password_hash FROM users WHERE name_key = ?",
        params![name_key],
    )
    .await?;
    row.map(|row| {
        Ok(Account {
            user: row.at(0)?,
            password_hash: row.at(1)?,
        })
    })
    .transpose()
}

/// Opens a session of an account, as the policy says, and gives the sessions that it has ended.
pub(crate) async fn open_session(
    account: &Account,
    new: &NewSession,
    policy: Policy,
    most_sessions: u64,
) -> Result<Vec<u64>, Error> {
    let done = opening(account, new, policy, most_sessions)
        .run()
        .await
        .map_err(refusal)?;
    done.get(REPLACED)
        .map_or(&[][..], |replaced| &replaced.rows)
        .iter()
        .map(|row| row.at(0))
        .collect()
}

// The indexes of the statements of an opening.
const ACCOUNT: u32 = 0;
const REPLACED: usize = 1;
const ROOM: u32 = 3;
const NO_OTHER: u32 = 4;

fn refusal(error: sql::Error) -> Error {
    match error {
        sql::Error::Unmet(ACCOUNT) => rules::denied(),
        sql::Error::Unmet(ROOM) => Error::too_large("the user has too many live sessions"),
        sql::Error::Unmet(NO_OTHER) => Error::already_exists("another device of the same class has a live session"),
        error => error.into(),
    }
}

/// All that opening a session does, as one batch.
///
/// The first statement changes nothing: it takes the lock of the user's row, so that two logins of
/// one user come one after the other also where a store has several writers, and it finds out
/// whether the password that was verified is still the one of the account.
fn opening(account: &Account, new: &NewSession, policy: Policy, most_sessions: u64) -> Batch {
    let (user, now) = (account.user, new.created_at);
    let (replaced, which) = replaced(user, new, policy);
    let batch = Batch::new()
        .need(
            "UPDATE users SET name = name WHERE id = ? AND password_hash = ?",
            params![user, account.password_hash.as_str()],
        )
        .step(format!("SELECT id FROM sessions WHERE {replaced}"), which.clone())
        .step(
            format!("UPDATE sessions SET ended_at = ? WHERE {replaced}"),
            [params![now], which].concat(),
        )
        .need(
            "SELECT id FROM users WHERE id = ? AND \
             (SELECT COUNT(*) FROM sessions WHERE user_id = ? AND ended_at IS NULL AND expires_at > ?) < ?",
            params![user, user, now, most_sessions],
        );
    let batch = if policy == Policy::Refuse {
        without_other(batch, user, new)
    } else {
        batch
    };
    batch.step(
        "INSERT INTO sessions (id, user_id, device, device_class, token_hash, created_at, expires_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            new.id,
            user,
            new.device.as_str(),
            new.device_class.as_str(),
            new.token_hash.as_str(),
            new.created_at,
            new.expires_at,
        ],
    )
}

/// The condition, with its parameters, of the live sessions that a new one ends: always that of the same
/// device, and those of the same class where the policy is to kick them.
fn replaced(user: u64, new: &NewSession, policy: Policy) -> (&'static str, Vec<Value>) {
    if policy == Policy::Kick {
        return (
            "user_id = ? AND ended_at IS NULL AND expires_at > ? AND (device = ? OR device_class = ?)",
            params![user, new.created_at, new.device.as_str(), new.device_class.as_str()],
        );
    }
    (
        "user_id = ? AND ended_at IS NULL AND expires_at > ? AND device = ?",
        params![user, new.created_at, new.device.as_str()],
    )
}

/// Refuses while there is another live session of the class. That of the same device is ended by now.
fn without_other(batch: Batch, user: u64, new: &NewSession) -> Batch {
    batch.need(
        "SELECT id FROM users WHERE id = ? AND NOT EXISTS \
         (SELECT id FROM sessions WHERE user_id = ? AND ended_at IS NULL AND expires_at > ? AND device_class = ?)",
        params![user, user, new.created_at, new.device_class.as_str()],
    )
}

/// What tokens stand for, while their sessions are live, by the hash of each.
pub(crate) async fn identities(
    token_hashes: impl Iterator<Item = &String>,
    now: u64,
) -> Result<HashMap<String, Identity>, Error> {
    let mut params: Vec<Value> = token_hashes.map(|hash| Value::from(hash.as_str())).collect();
    if params.is_empty() {
        return Ok(HashMap::new());
    }
    let placeholders = sql::placeholders(params.len());
    params.push(Value::from(now));
    let rows = sql::query(
        format!(
            "SELECT user_id, id, device, device_class, expires_at, token_hash FROM sessions \
             WHERE token_hash IN ({placeholders}) AND ended_at IS NULL AND expires_at > ?"
        ),
        params,
    )
    .await?;
    rows.iter().map(|row| Ok((row.at(5)?, read_identity(row)?))).collect()
}

fn read_identity(row: &Row) -> Result<Identity, Error> {
    Ok(Identity {
        user: row.at(0)?,
        session: row.at(1)?,
        device: row.at(2)?,
        device_class: row.at(3)?,
        expires_at: row.at(4)?,
    })
}

/// Ends a session of a user. Gives whether the user has, or had, such a session: ending one that
/// has ended is no fault.
pub(crate) async fn end_session(user: u64, session: u64, now: u64) -> Result<bool, Error> {
    let ended = sql::execute(
        "UPDATE sessions SET ended_at = ? WHERE id = ? AND user_id = ? AND ended_at IS NULL",
        params![now, session, user],
    );
    if ended.await? > 0 {
        return Ok(true);
    }
    let row = sql::query_one(
        "SELECT id FROM sessions WHERE id = ? AND user_id = ?",
        params![session, user],
    );
    Ok(row.await?.is_some())
}

/// The live sessions of a user, newest first; `current` is the one that asks.
pub(crate) async fn sessions(user: u64, current: u64, now: u64) -> Result<Vec<Session>, Error> {
    let rows = sql::query(
        "SELECT id, device, device_class, created_at, expires_at FROM sessions \
         WHERE user_id = ? AND ended_at IS NULL AND expires_at > ? ORDER BY created_at DESC, id DESC LIMIT ?",
        params![user, now, MOST_SESSIONS_LISTED],
    );
    rows.await?.iter().map(|row| read_session(row, current)).collect()
}

fn read_session(row: &Row, current: u64) -> Result<Session, Error> {
    let id = row.at(0)?;
    Ok(Session {
        id,
        device: row.at(1)?,
        device_class: row.at(2)?,
        created_at: row.at(3)?,
        expires_at: row.at(4)?,
        current: id == current,
    })
}

/// Which of some sessions are live.
pub(crate) async fn live_sessions(sessions: &[u64], now: u64) -> Result<HashSet<u64>, Error> {
    let mut live = HashSet::with_capacity(sessions.len());
    for asked in sessions.chunks(SESSIONS_IN_ONE_QUERY) {
        let placeholders = sql::placeholders(asked.len());
        let statement =
            format!("SELECT id FROM sessions WHERE id IN ({placeholders}) AND ended_at IS NULL AND expires_at > ?");
        let params = asked.iter().copied().chain([now]).map(Value::from).collect();
        for row in sql::query(statement, params).await? {
            live.insert(row.at(0)?);
        }
    }
    Ok(live)
}
