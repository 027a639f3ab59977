//! When users were last online: known at once, written behind (a write-behind cache).
//!
//! A time goes into the cache, for readers, and into a queue, for the store. Both are hints: who comes and goes never
//! waits for the store, and fails by none of them. The call of a timer takes the times out of the queue and writes the
//! latest of each user, only forward, so that an entry may come twice and in any order. What is in the queue when
//! that is lost is lost; one time is published when a user comes, so that no death of a node costs more than their stay.
//! Refuses to know who is online.

use std::collections::{BTreeMap, BTreeSet};

use guest::queue::Entry;
use guest::sql::{self, Batch};
use guest::{Error, Priority, cache, config, hint, join_all, params, queue, telemetry};

use crate::bindings::exports::mpim::im::presence::Status;
use crate::rules;

pub(crate) const TOPIC: &str = "presence/last-seen";
pub(crate) const GROUP: &str = "store";
/// How long readers find a time in the cache, unless `last-seen-cache-ms` says otherwise: longer than an entry stays in
/// the queue, also when it has to be given again, and shorter than the presence of a user whose node died.
const CACHED_MS: u64 = 60_000;
/// How many entries are received at once.
const ROUND: u32 = 1000;
/// How many rounds one call makes: the next call of the timer goes on where it ends.
const MOST_ROUNDS: u32 = 32;
/// How many users one batch is for.
const CHUNK: usize = 200;
/// How often a batch is tried again that met another node's.
const TRIES: u32 = 4;

fn key(user: u64) -> String {
    format!("last-seen/{user}")
}

/// Says that users were online at a time: to readers each by itself, and to the store in one entry.
pub(crate) async fn note(users: &[u64], at: u64) {
    let ttl_ms = config::value_or("last-seen-cache-ms", CACHED_MS).max(1);
    for kept in join_all(users.iter().map(|user| cache::set(key(*user), &at, ttl_ms))).await {
        hint("last-seen", kept);
    }
    let published = queue::publish(TOPIC, Priority::Normal, rules::entry(users, at)).await;
    hint("last-seen", published.map(drop));
}

/// Adds the times to the statuses of those who are offline. What cannot be found out is left out.
pub(crate) async fn tell(statuses: &mut [Status]) {
    let offline = statuses.iter().filter(|status| !status.online);
    let users: BTreeSet<u64> = offline.map(|status| status.user).collect();
    let times = times(users).await;
    for status in statuses {
        status.last_seen = times.get(&status.user).copied();
    }
}

async fn times(users: BTreeSet<u64>) -> BTreeMap<u64, u64> {
    let mut times = cached(&users).await.unwrap_or_else(lost);
    let missing: Vec<u64> = users.into_iter().filter(|user| !times.contains_key(user)).collect();
    times.extend(stored(&missing).await.unwrap_or_else(lost));
    times
}

/// A failure that costs the caller no more than what was looked for.
fn lost<T: Default>(error: Error) -> T {
    hint("last-seen", Err(error));
    T::default()
}

async fn cached(users: &BTreeSet<u64>) -> Result<BTreeMap<u64, u64>, Error> {
    let found = cache::get_many(users.iter().copied().map(key).collect()).await?;
    let times = users.iter().copied().zip(found);
    Ok(times.filter_map(|(user, at)| Some((user, at?))).collect())
}

async fn stored(users: &[u64]) -> Result<BTreeMap<u64, u64>, Error> {
    if users.is_empty() {
        return Ok(BTreeMap::new());
    }
    let placeholders = sql::placeholders(users.len());
    let statement = format!("SELECT user_id, at FROM last_seen WHERE user_id IN ({placeholders})");
    let users = users.iter().copied().map(sql::Value::from).collect();
    let rows = sql::query(statement, users).await?;
    rows.iter().map(|row| Ok((row.at(0)?, row.at(1)?))).collect()
}

/// Writes what was published, until nothing is left or it was enough for one call. An entry is acknowledged once it is
/// written: what fails in between is given again.
pub(crate) async fn keep() -> Result<(), Error> {
    for _ in 0..MOST_ROUNDS {
        let entries = queue::receive(TOPIC, GROUP, ROUND, 0).await?;
        if entries.is_empty() {
            break;
        }
        let latest = rules::latest(entries.iter().map(|entry| entry.payload.as_slice()));
        let times: Vec<(u64, u64)> = latest.times.into_iter().collect();
        for chunk in times.chunks(CHUNK) {
            write(chunk).await?;
        }
        let ids = entries.iter().map(|Entry { id, .. }| *id).collect();
        queue::ack(TOPIC, GROUP, ids).await?;
        if latest.undecodable > 0 {
            telemetry::count("mpim_last_seen_undecodable", latest.undecodable);
        }
    }
    Ok(())
}

/// Writes the times of some users, each unless a later one is there. In one order of users everywhere, so that nodes that
/// write at the same time wait for each other and no more. Two first writes for one user at once may
/// end in a unique violation; the batch is then run again.
async fn write(times: &[(u64, u64)]) -> Result<(), Error> {
    for _ in 0..TRIES {
        let batch = times
            .iter()
            .fold(Batch::new(), |batch, (user, at)| forward(batch, *user, *at));
        match batch.run().await {
            Ok(_) => return Ok(()),
            Err(sql::Error::UniqueViolation(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(sql::Error::Unavailable("the times of users are contended".to_owned()).into())
}

/// The two statements that bring the time of a user forward. Who is no user gets none.
fn forward(batch: Batch, user: u64, at: u64) -> Batch {
    batch
        .step(
            "UPDATE last_seen SET at = ? WHERE user_id = ? AND at < ?",
            params![at, user, at],
        )
        .step(
            "INSERT INTO last_seen (user_id, at) SELECT u.id, ? FROM users u \
             WHERE u.id = ? AND NOT EXISTS (SELECT 1 FROM last_seen l WHERE l.user_id = ?)",
            params![at, user, user],
        )
}
