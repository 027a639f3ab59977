//! The worker number of this node: a row of the store, so that it outlives whatever is emptied or restarted.
//!
//! A data folder keeps its number over restarts. A number is given to another folder only when its owner has been
//! silent for so long that it is certainly gone; should it come back all the same, it finds the row taken and asks
//! for another number. What an id may carry at most is written down before it is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backends::Sql;
use capabilities::Services;
use config::{ClusterSettings, ms};
use contract::sql::{Error, Row, Value};
use snowflake::{Loan, WORKERS, now_ms};
use tokio::time::sleep;

/// The worker number that this node has.
pub struct Worker {
    services: Arc<Services>,
    owner: String,
    settings: ClusterSettings,
    number: u16,
}

/// Why there is no worker number.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store did not answer as it must.
    #[error("the worker number of this node cannot be had: {0}")]
    Store(#[from] Error),
    /// All are taken.
    #[error("all {WORKERS} worker numbers are taken by nodes that were alive a short while ago")]
    Exhausted,
    /// Others were always faster.
    #[error("the worker numbers are contended")]
    Contended,
}

/// How often a claim that another was faster at is tried again.
const ROUNDS: usize = 64;
/// How often a number is confirmed within its lease.
const CONFIRMATIONS: u32 = 6;
/// How long one statement may take.
const STATEMENT: Duration = Duration::from_secs(5);

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    number: u16,
    mine: bool,
    beat: i64,
    seen_at: u64,
    until_ms: u64,
}

/// How a number can be had.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// Nobody had it before.
    Fresh(u16),
    /// It is, or was, somebody's.
    From(Taken),
}

impl Worker {
    /// Takes a number for an owner, and lends it to the ids of the node.
    pub(super) async fn claim(
        services: Arc<Services>,
        owner: String,
        settings: ClusterSettings,
    ) -> Result<Self, ClaimError> {
        let mut worker = Self {
            services,
            owner,
            settings,
            number: 0,
        };
        worker.claim_number().await?;
        Ok(worker)
    }

    /// Confirms the number again and again, until dropped.
    pub async fn keep(&mut self) {
        loop {
            sleep(ms(self.settings.worker_lease_ms) / CONFIRMATIONS).await;
            if let Err(error) = self.confirm().await {
                tracing::warn!(%error, "the worker number of this node is not confirmed");
            }
        }
    }

    async fn claim_number(&mut self) -> Result<(), ClaimError> {
        for _ in 0..ROUNDS {
            let (asked, now) = (Instant::now(), now_ms());
            let rows = read(&self.services.sql, &self.owner).await?;
            let way = choose(&rows, now, self.settings.worker_quarantine_ms).ok_or(ClaimError::Exhausted)?;
            let until_ms = self.horizon(now.max(way.after_ms()));
            if let Some(number) = take(&self.services.sql, &self.owner, &way, now, until_ms).await? {
                self.services.ids.lend(Loan {
                    worker: number,
                    after_ms: way.after_ms(),
                    until_ms,
                    ends: asked + ms(self.settings.worker_lease_ms),
                });
                tracing::info!(worker = number, "this node has its worker number");
                self.number = number;
                return Ok(());
            }
        }
        Err(ClaimError::Contended)
    }

    async fn confirm(&mut self) -> Result<(), ClaimError> {
        let (asked, now) = (Instant::now(), now_ms());
        let until_ms = self.horizon(now.max(self.services.ids.last_ms()));
        // A clock that stepped back takes nothing back: ids may still run as far as they were lent.
        let confirm = "UPDATE workers SET beat = beat + 1, seen_at = ?, \
             until_ms = CASE WHEN until_ms > ? THEN until_ms ELSE ? END WHERE id = ? AND owner = ?";
        let until = time(until_ms);
        let params = vec![time(now), until.clone(), until, number(self.number), text(&self.owner)];
        let confirmed = self
            .services
            .sql
            .execute(confirm.to_owned(), params, asked + STATEMENT)
            .await?;
        if confirmed == 0 {
            tracing::error!("another node has taken the worker number of this one");
            return self.claim_number().await;
        }
        self.services
            .ids
            .extend(until_ms, asked + ms(self.settings.worker_lease_ms));
        Ok(())
    }

    /// How far ids may run ahead: twice the lease, so that a clock that goes on finds room until the next
    /// confirmation.
    fn horizon(&self, from_ms: u64) -> u64 {
        from_ms.saturating_add(self.settings.worker_lease_ms.saturating_mul(2))
    }
}

impl Way {
    /// No id of the number may carry a millisecond up to this one.
    fn after_ms(&self) -> u64 {
        match self {
            Self::Fresh(_) => 0,
            Self::From(taken) => taken.until_ms,
        }
    }
}

/// One's own number first, then one that nobody had, then the one whose owner has been silent for longest.
fn choose(rows: &[Taken], now_ms: u64, quarantine_ms: u64) -> Option<Way> {
    if let Some(own) = rows.iter().find(|taken| taken.mine) {
        return Some(Way::From(*own));
    }
    let fresh = (0..WORKERS).find(|number| !rows.iter().any(|taken| taken.number == *number));
    if let Some(number) = fresh {
        return Some(Way::Fresh(number));
    }
    let silent = rows
        .iter()
        .filter(|taken| taken.seen_at.saturating_add(quarantine_ms) < now_ms);
    silent.min_by_key(|taken| taken.seen_at).copied().map(Way::From)
}

async fn read(sql: &Sql, owner: &str) -> Result<Vec<Taken>, Error> {
    let rows = sql
        .query(
            "SELECT id, owner, beat, seen_at, until_ms FROM workers ORDER BY id".to_owned(),
            Vec::new(),
            Instant::now() + STATEMENT,
        )
        .await?;
    let unreadable = || Error::Invalid("a row of the worker numbers cannot be read".to_owned());
    rows.iter()
        .map(|row| taken(row, owner).ok_or_else(unreadable))
        .collect()
}

fn taken(row: &Row, owner: &str) -> Option<Taken> {
    let [
        Value::Integer(id),
        Value::Text(of),
        Value::Integer(beat),
        Value::Integer(seen_at),
        Value::Integer(until_ms),
    ] = row.as_slice()
    else {
        return None;
    };
    Some(Taken {
        number: u16::try_from(*id).ok()?,
        mine: of == owner,
        beat: *beat,
        seen_at: u64::try_from(*seen_at).ok()?,
        until_ms: u64::try_from(*until_ms).ok()?,
    })
}

/// Gives the number, or none when another was faster.
async fn take(sql: &Sql, owner: &str, way: &Way, now_ms: u64, until_ms: u64) -> Result<Option<u16>, Error> {
    let deadline = Instant::now() + STATEMENT;
    match way {
        Way::Fresh(fresh) => {
            let inserted = sql
                .execute(
                    "INSERT INTO workers (id, owner, beat, seen_at, until_ms) VALUES (?, ?, 0, ?, ?)".to_owned(),
                    vec![number(*fresh), text(owner), time(now_ms), time(until_ms)],
                    deadline,
                )
                .await;
            match inserted {
                Ok(_) => Ok(Some(*fresh)),
                Err(Error::UniqueViolation(_)) => Ok(None),
                Err(error) => Err(error),
            }
        }
        Way::From(taken) => {
            let moved = sql
                .execute(
                    "UPDATE workers SET owner = ?, beat = beat + 1, seen_at = ?, until_ms = ? WHERE id = ? AND beat = ?"
                        .to_owned(),
                    vec![
                        text(owner),
                        time(now_ms),
                        time(until_ms),
                        number(taken.number),
                        Value::Integer(taken.beat),
                    ],
                    deadline,
                )
                .await?;
            Ok((moved > 0).then_some(taken.number))
        }
    }
}

fn number(number: u16) -> Value {
    Value::Integer(i64::from(number))
}

fn time(ms: u64) -> Value {
    Value::Integer(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use backends::{Cache, Metadata, Queue, memory, sqlite};
    use capabilities::Backends;
    use config::Settings;

    use super::*;

    /// The services of a node with the store in a folder, which is made where it is not there.
    fn embedded(folder: &Path, settings: &Settings) -> Services {
        std::fs::create_dir_all(folder).unwrap();
        let file = folder.join("store");
        sqlite::migrate(&file, &settings.sqlite).unwrap();
        let backends = Backends {
            sql: Sql::Sqlite(sqlite::Sqlite::open(&file, &settings.sqlite).unwrap()),
            cache: Cache::Memory(memory::Cache::new(&settings.cache)),
            metadata: Metadata::Memory(memory::Metadata::new(&settings.metadata)),
            queue: Queue::Memory(memory::Queue::new(&settings.queue)),
            local_queue: None,
        };
        Services::new("node", backends, settings)
    }

    fn taken(number: u16, mine: bool, seen_at: u64) -> Taken {
        Taken {
            number,
            mine,
            beat: 0,
            seen_at,
            until_ms: 0,
        }
    }

    /// An embedded store in a folder of its own.
    struct Store(std::path::PathBuf);

    impl Store {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("mpim-workers-{name}-{}", std::process::id())))
        }

        /// A node on it.
        fn services(&self) -> Arc<Services> {
            let settings = Settings::default();
            Arc::new(embedded(&self.0, &settings))
        }

        /// The worker of an owner, on a node of its own.
        async fn worker(&self, owner: &str) -> Worker {
            let settings = ClusterSettings::default();
            Worker::claim(self.services(), owner.to_owned(), settings)
                .await
                .unwrap()
        }
    }

    impl Drop for Store {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn worker_of(id: u64) -> u64 {
        (id >> 12) & 1023
    }

    #[tokio::test]
    async fn of_two_who_want_the_same_number_one_has_it() {
        let store = Store::new("same");
        let sql = &store.services().sql;
        for way in [Way::Fresh(3), Way::From(taken(3, false, 1_000))] {
            assert_eq!(take(sql, "one", &way, 1_000, 2_000).await.unwrap(), Some(3));
            assert_eq!(take(sql, "two", &way, 1_000, 2_000).await.unwrap(), None, "{way:?}");
        }
    }

    #[tokio::test]
    async fn ids_of_a_former_life_are_behind_those_of_the_next() {
        let store = Store::new("lives");
        let mut first = store.worker("one").await;
        first.services.ids.next().unwrap();
        first.confirm().await.unwrap();
        let written = read(&first.services.sql, "one").await.unwrap()[0].until_ms;
        let second = store.worker("one").await;
        assert_eq!(second.number, first.number);
        // Whatever the first may still give carries no later time than was written down.
        second.services.ids.next().unwrap();
        assert!(second.services.ids.last_ms() > written);
        assert!(first.services.ids.last_ms() <= written);
    }

    #[tokio::test]
    async fn what_is_written_down_covers_ids_that_were_given_before_the_clock_stepped_back() {
        let store = Store::new("clock");
        let mut worker = store.worker("one").await;
        let ahead_ms = now_ms() + 3_600_000;
        worker.services.ids.lend(Loan {
            worker: worker.number,
            after_ms: ahead_ms,
            until_ms: ahead_ms + 1_000,
            ends: Instant::now() + STATEMENT,
        });
        worker.services.ids.next().unwrap();
        worker.confirm().await.unwrap();
        let written = read(&worker.services.sql, "one").await.unwrap()[0].until_ms;
        assert!(written > worker.services.ids.last_ms());
    }

    #[tokio::test]
    async fn what_was_lent_is_not_taken_back_by_a_clock_that_stepped_back() {
        let store = Store::new("step");
        let mut worker = store.worker("one").await;
        let lent = now_ms() + 3_600_000;
        let before_the_step = "UPDATE workers SET until_ms = ?";
        let deadline = Instant::now() + STATEMENT;
        let sql = &worker.services.sql;
        sql.execute(before_the_step.to_owned(), vec![time(lent)], deadline)
            .await
            .unwrap();
        worker.confirm().await.unwrap();
        assert_eq!(read(&worker.services.sql, "one").await.unwrap()[0].until_ms, lent);
    }

    #[tokio::test]
    async fn who_finds_its_number_taken_goes_on_with_another() {
        let store = Store::new("taken");
        let mut worker = store.worker("one").await;
        let lost = worker.number;
        let theft = "UPDATE workers SET owner = 'two', beat = beat + 1";
        let deadline = Instant::now() + STATEMENT;
        let sql = &worker.services.sql;
        sql.execute(theft.to_owned(), Vec::new(), deadline).await.unwrap();
        worker.confirm().await.unwrap();
        assert_ne!(worker.number, lost);
        assert_eq!(worker_of(worker.services.ids.next().unwrap()), u64::from(worker.number));
    }

    #[test]
    fn ones_own_number_is_taken_again_before_any_other() {
        let rows = [taken(0, false, 0), taken(5, true, 0)];
        assert_eq!(choose(&rows, 1_000_000, 10), Some(Way::From(rows[1])));
    }

    #[test]
    fn a_number_that_nobody_had_comes_before_one_of_the_silent() {
        let rows = [taken(0, false, 0), taken(2, false, 0)];
        assert_eq!(choose(&rows, 1_000_000, 10), Some(Way::Fresh(1)));
    }

    #[test]
    fn only_the_number_of_an_owner_that_was_silent_for_long_is_given_to_another() {
        let mut rows: Vec<_> = (0..WORKERS).map(|number| taken(number, false, 1_000)).collect();
        assert_eq!(choose(&rows, 1_010, 10), None);
        rows[7].seen_at = 500;
        assert_eq!(choose(&rows, 1_010, 10), Some(Way::From(rows[7])));
    }
}
