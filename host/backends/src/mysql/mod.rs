//! The relational store on a server: MySQL, MariaDB and what speaks as they do.
//!
//! Owns a pool of connections and the promise that an answered batch is kept whole. What the server undoes for the
//! sake of others (deadlocks, locks waited for too long, conflicts within a cluster) is repeated here, within the
//! deadline, and never seen by callers. Knows no schema but by its migrations.
//!
//! A query is prepared, once for each connection. Values of a batch are written into the text of its statements, in one
//! module, by one rule, in sessions that read them so: it costs two ways to the server and back however many steps it has,
//! where prepared steps would cost one each.
//!
//! Where a server answers otherwise than SQLite: texts of columns with a collation that pads (`utf8mb4_bin`) are
//! equal when they differ in spaces at their end alone; `/` of integers has a fraction; LIKE goes by the collation;
//! infinite numbers are refused; a unique violation names the key, not the columns; on MySQL, an assignment of an
//! UPDATE sees those before it. Statements of components must not depend on any of these.

mod error;
mod exchange;
mod link;
mod migrations;
mod query;
mod replicas;
mod script;
mod value;

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;

use self::error::{failure, refusal};
use self::link::Dialer;
use self::query::Query;
use self::replicas::Replicas;
use self::script::Script;
use crate::pool::{Lease, Pool};
use config::MysqlSettings;
use contract::sql::{Error, Outcome, Row, Step, Value};
use dialect::failure::{Failure, GONE};

pub use self::error::OpenError;
pub use self::migrations::{check, migrate};

/// How long the first pause before a repeat is at most; every further one may be twice as long.
const PAUSE: Duration = Duration::from_millis(4);

/// How often something is repeated whose connection was lost. Few times: it may be what the server dies of.
const LOST_MAX: u32 = 2;

/// A store on a server.
#[derive(Debug)]
pub struct Mysql {
    pool: Pool<Dialer>,
    dialer: Dialer,
    replicas: Replicas,
    settings: Arc<MysqlSettings>,
    failing: AtomicBool,
}

impl Mysql {
    /// A store whose pool begins to connect, without waiting for it. Must be called within a runtime.
    pub fn open(settings: &MysqlSettings) -> Result<Self, OpenError> {
        let dialer = Dialer::new(settings)?;
        let settings = Arc::new(settings.clone());
        Ok(Self {
            pool: Pool::new("sql", dialer.clone(), &settings.pool),
            replicas: Replicas::open(&dialer, &settings)?,
            dialer,
            settings,
            failing: AtomicBool::new(false),
        })
    }

    /// Waits until the server answers, and says what is wrong when it does not.
    pub async fn connect(&self) -> Result<(), OpenError> {
        self.dialer.dial().await.map(drop)
    }

    /// Writes the gauges of the pools.
    pub fn measure(&self) {
        self.pool.measure();
        self.replicas.measure();
    }

    /// The rows of one statement without effect.
    pub async fn query(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<Vec<Row>, Error> {
        let query = Query::of(&sql, &params, &self.settings)?;
        self.ask(&query, deadline).await
    }

    /// The same, from a replica where one is current enough: without what was committed in the last
    /// `replica_lag_max_ms` milliseconds, or a part of it.
    pub async fn query_stale(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<Vec<Row>, Error> {
        let query = Query::of(&sql, &params, &self.settings)?;
        match self.replicas.query(&query, deadline).await {
            Some(rows) => Ok(rows),
            None => self.ask(&query, deadline).await,
        }
    }

    async fn ask(&self, query: &Query<'_>, deadline: Instant) -> Result<Vec<Row>, Error> {
        let asked = Instant::now();
        let rows = self.within(deadline, self.repeat(Job::Query(query))).await?;
        metrics::histogram!("mpim_sql_read_seconds", "backend" => "mysql").record(asked.elapsed());
        Ok(rows.into_iter().next().unwrap_or_default().rows)
    }

    /// One statement, durable when it returns; the number of rows changed.
    pub async fn execute(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<u64, Error> {
        let step = Step {
            sql,
            params,
            at_least: 0,
            taken: Vec::new(),
        };
        let outcomes = self.batch(vec![step], deadline).await?;
        Ok(outcomes.first().map_or(0, |outcome| outcome.affected))
    }

    /// All steps or none of them, durable when it returns.
    pub async fn batch(&self, steps: Vec<Step>, deadline: Instant) -> Result<Vec<Outcome>, Error> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let most = self.settings.steps_max;
        if steps.len() > most {
            return Err(Error::Invalid(format!("a batch has at most {most} steps")));
        }
        let asked = Instant::now();
        let script = Script::of(&steps, &self.settings)?;
        let outcomes = self.within(deadline, self.repeat(Job::Batch(&script))).await?;
        metrics::histogram!("mpim_sql_write_seconds", "backend" => "mysql").record(asked.elapsed());
        metrics::counter!("mpim_sql_commits_total", "backend" => "mysql").increment(1);
        Ok(outcomes)
    }

    /// Waits for an answer, at most until the deadline and at most for the time of a job.
    async fn within<T>(&self, deadline: Instant, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let now = Instant::now();
        if now >= deadline {
            return Err(Error::Timeout(
                "the deadline passed before the job began; nothing was kept".to_owned(),
            ));
        }
        let deadline = deadline.min(now + self.settings.query_timeout());
        let answer = match tokio::time::timeout_at(deadline.into(), work).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Timeout(
                "the deadline passed before the store answered".to_owned(),
            )),
        };
        self.note(&answer);
        answer
    }

    /// Tries until it is done, or cannot be, or was tried often enough.
    async fn repeat(&self, job: Job<'_>) -> Result<Vec<Outcome>, Error> {
        let (mut repeats, mut lost) = (0, 0);
        loop {
            let failure = match self.attempt(job, lost > 0).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(failure) => failure,
            };
            let Some(reason) = failure.again else {
                return Err(failure.error);
            };
            let (count, most) = match reason {
                GONE => (&mut lost, LOST_MAX.min(self.settings.retries)),
                _ => (&mut repeats, self.settings.retries),
            };
            if *count >= most {
                return Err(failure.error);
            }
            metrics::counter!("mpim_sql_retries_total", "backend" => "mysql", "reason" => reason).increment(1);
            if reason != GONE {
                tokio::time::sleep(pause(*count)).await;
            }
            *count += 1;
        }
    }

    async fn attempt(&self, job: Job<'_>, checked: bool) -> Result<Vec<Outcome>, Failure> {
        let mut lease = self.acquire(checked).await?;
        // Until the last answer is read it is unknown what the connection is in the middle of.
        lease.retire();
        let answer = match job {
            Job::Query(query) => exchange::query(&mut lease, query, &self.settings)
                .await
                .map(|rows| vec![Outcome { affected: 0, rows }]),
            Job::Batch(script) => exchange::transaction(&mut lease, script, &self.settings).await,
        };
        if answer.as_ref().map_or_else(|failure| failure.whole, |_| true) {
            lease.keep();
        }
        answer
    }

    /// A connection; where one was lost just now, one that answers. After a restart of the server all that lay in
    /// the pool are dead, and each is found out here rather than by the job.
    async fn acquire(&self, checked: bool) -> Result<Lease<'_, Dialer>, Failure> {
        loop {
            let mut lease = self.pool.acquire().await.map_err(refusal)?;
            if !checked {
                return Ok(lease);
            }
            lease.retire();
            if lease.conn().map_err(failure)?.ping().await.is_ok() {
                lease.keep();
                return Ok(lease);
            }
        }
    }

    /// Says once that the store stopped working, and once that it works again.
    fn note<T>(&self, answer: &Result<T, Error>) {
        match answer {
            Err(error @ Error::Unavailable(_)) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::error!(server = %self.dialer.server(), %error, "the store stopped working");
            }
            Ok(_) if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!(server = %self.dialer.server(), "the store works again");
            }
            _ => {}
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
enum Job<'a> {
    Query(&'a Query<'a>),
    Batch(&'a Script),
}

/// A while of random length, so that those who met do not meet again.
fn pause(repeats: u32) -> Duration {
    let longest = PAUSE.saturating_mul(1 << repeats.min(6));
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(RandomState::new().hash_one(repeats) % micros)
}
