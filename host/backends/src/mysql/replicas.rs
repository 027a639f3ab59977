//! Replicas of the server: reading from those that are current enough.
//!
//! How far one is behind is found out without clocks or privileges: a number is counted up at the primary, in a
//! transaction of its own, and looked for at the replica. A replica that has the number has everything that was
//! committed before its transaction began, so that it may be read for as long after that moment as answers may be
//! old. One that hangs, fails or falls behind is left out until the number is seen there again, and whoever asked
//! it meanwhile asks the primary: a replica never makes a read fail. Nothing is counted where there are no replicas.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use super::error::{OpenError, refusal};
use super::exchange;
use super::link::Dialer;
use super::query::Query;
use super::script::Script;
use crate::pool::{Lease, Pool};
use config::{MysqlSettings, PoolSettings};
use contract::sql::{Error, Row, Step, Value};
use dialect::failure::Failure;

/// How often each replica is looked at while an answer may grow as old as is allowed.
const LOOKS: u32 = 5;

/// The number is counted up at most this often.
const LOOK_MIN: Duration = Duration::from_millis(20);

/// How often a replica is looked at, and how long it may take to answer.
fn pace(settings: &MysqlSettings) -> Duration {
    (settings.replica_lag_max() / LOOKS).max(LOOK_MIN)
}

/// Some replicas and what is known of them.
#[derive(Debug)]
pub(super) struct Replicas {
    all: Vec<Arc<Replica>>,
    next: AtomicUsize,
    settings: Arc<MysqlSettings>,
    watch: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Replica {
    server: String,
    pool: Pool<Dialer>,
    /// It has everything that was committed before this moment.
    complete_to: Mutex<Option<Instant>>,
    is_near: AtomicBool,
}

impl Replicas {
    /// Begins to connect to the replicas of a primary and to watch them. Must be called within a runtime.
    pub(super) fn open(primary: &Dialer, settings: &Arc<MysqlSettings>) -> Result<Self, OpenError> {
        let dialers: Result<Vec<_>, _> = settings.replicas.iter().map(|address| primary.to(address)).collect();
        let replicas = dialers?
            .into_iter()
            .map(|dialer| Arc::new(Replica::new(dialer, settings)));
        let all: Vec<_> = replicas.collect();
        let watch = (!all.is_empty()).then(|| {
            let watch = Watch {
                primary: primary.clone(),
                all: all.clone(),
                settings: Arc::clone(settings),
            };
            tokio::spawn(watch.run())
        });
        Ok(Self {
            all,
            next: AtomicUsize::new(0),
            settings: Arc::clone(settings),
            watch,
        })
    }

    /// Writes the gauges of the pools.
    pub(super) fn measure(&self) {
        for replica in &self.all {
            replica.pool.measure();
        }
    }

    /// The rows of a query that may be as old as the settings allow; none when no replica that is current enough answered.
    pub(super) async fn query(&self, query: &Query<'_>, deadline: Instant) -> Option<Vec<Row>> {
        if self.all.is_empty() {
            return None;
        }
        let Some(replica) = self.choose() else {
            count("behind");
            return None;
        };
        // As long as the watch waits for one, and half of the time is left for the primary.
        let half = deadline.saturating_duration_since(Instant::now()) / 2;
        let answer = tokio::time::timeout(half.min(pace(&self.settings)), replica.query(query, &self.settings)).await;
        if let Ok(Ok(rows)) = answer {
            count("served");
            return Some(rows);
        }
        // A statement that is wrong, or a result that is too big, is no fault of the replica's: the primary will say.
        let is_lost = answer.is_err() || answer.is_ok_and(|answer| answer.is_err_and(|failure| !failure.whole));
        if is_lost {
            replica.look_again();
        }
        count("failed");
        None
    }

    /// The next one in turn that is current enough.
    fn choose(&self) -> Option<&Replica> {
        let oldest = Instant::now().checked_sub(self.settings.replica_lag_max())?;
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        (0..self.all.len())
            .filter_map(|step| self.all.get(first.wrapping_add(step) % self.all.len()))
            .find(|replica| replica.is_complete_to(oldest))
            .map(Arc::as_ref)
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

fn count(result: &'static str) {
    metrics::counter!("mpim_sql_replica_reads_total", "backend" => "mysql", "result" => result).increment(1);
}

impl Replica {
    fn new(dialer: Dialer, settings: &MysqlSettings) -> Self {
        let server = dialer.server();
        Self {
            pool: Pool::new(format!("sql replica {server}"), dialer, &settings.pool),
            server,
            complete_to: Mutex::new(None),
            is_near: AtomicBool::new(true),
        }
    }

    async fn query(&self, query: &Query<'_>, settings: &MysqlSettings) -> Result<Vec<Row>, Failure> {
        let mut lease = self.pool.acquire().await.map_err(refusal)?;
        lease.retire();
        let answer = exchange::query(&mut lease, query, settings).await;
        keep_where_whole(&mut lease, &answer);
        answer
    }

    fn is_complete_to(&self, moment: Instant) -> bool {
        let known = *self.complete_to.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_some_and(|known| known >= moment)
    }

    /// Leaves it out until the watch has looked.
    fn look_again(&self) {
        *self.complete_to.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes over up to when the watch has found it to be complete, and says once that it is out of use, and once that
    /// it is used again.
    fn note(&self, found: Result<Option<Instant>, Failure>) {
        let complete_to = found.as_ref().ok().copied().flatten();
        *self.complete_to.lock().unwrap_or_else(PoisonError::into_inner) = complete_to;
        let is_near = complete_to.is_some();
        let server = &self.server;
        match (self.is_near.swap(is_near, Ordering::Relaxed), is_near, found) {
            (true, false, Err(failure)) => {
                tracing::warn!(%server, error = %failure.error, "a replica is not read: it does not answer");
            }
            (true, false, Ok(_)) => tracing::warn!(%server, "a replica is not read: it is too far behind"),
            (false, true, _) => tracing::info!(%server, "a replica is read again"),
            _ => {}
        }
    }
}

/// The one who counts, and looks for the numbers.
struct Watch {
    primary: Dialer,
    all: Vec<Arc<Replica>>,
    settings: Arc<MysqlSettings>,
}

impl Watch {
    async fn run(self) {
        let (lag_max, every) = (self.settings.replica_lag_max(), pace(&self.settings));
        let counter = Pool::new(
            "sql beats",
            self.primary.clone(),
            &PoolSettings {
                min_idle: 0,
                max_active: 1,
                ..self.settings.pool.clone()
            },
        );
        let mut beats = Beats::default();
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let begun = Instant::now();
            // Where it cannot be counted up, the former numbers are good until they are too old.
            if let Ok(Ok(number)) = tokio::time::timeout(every, self.count_up(&counter)).await {
                beats.push(number, begun);
            }
            beats.forget_before(begun.checked_sub(lag_max));
            let mut looks = JoinSet::new();
            for replica in &self.all {
                looks.spawn(look(
                    Arc::clone(replica),
                    beats.clone(),
                    Arc::clone(&self.settings),
                    every,
                ));
            }
            while looks.join_next().await.is_some() {}
        }
    }

    /// Counts up at the primary; the number, which nobody else has made.
    async fn count_up(&self, counter: &Pool<Dialer>) -> Result<i64, Failure> {
        let need = |sql: &str| Step {
            sql: sql.to_owned(),
            params: Vec::new(),
            at_least: 1,
            taken: Vec::new(),
        };
        let steps = [need(COUNT_UP), need(NUMBER)];
        let script = Script::of(&steps, &self.settings).map_err(Failure::of_request)?;
        let mut lease = counter.acquire().await.map_err(refusal)?;
        lease.retire();
        let answer = exchange::transaction(&mut lease, &script, &self.settings).await;
        keep_where_whole(&mut lease, &answer);
        let outcome = answer?.pop().unwrap_or_default();
        Ok(number(&outcome.rows))
    }
}

/// Looks for the number at a replica.
async fn look(replica: Arc<Replica>, beats: Beats, settings: Arc<MysqlSettings>, patience: Duration) {
    let asked = async {
        let query = Query::of(NUMBER, &[], &settings).map_err(Failure::of_request)?;
        replica.query(&query, &settings).await
    };
    let silent = |_| {
        Err(Failure::halfway(Error::Timeout(format!(
            "no answer within {patience:?}"
        ))))
    };
    let found = tokio::time::timeout(patience, asked).await.unwrap_or_else(silent);
    replica.note(found.map(|rows| beats.moment_of(number(&rows))));
}

const COUNT_UP: &str = "UPDATE replica_beats SET beat = beat + 1 WHERE id = 1";
const NUMBER: &str = "SELECT beat FROM replica_beats WHERE id = 1";

fn number(rows: &[Row]) -> i64 {
    match rows.first().map(Vec::as_slice) {
        Some([Value::Integer(number)]) => *number,
        _ => -1,
    }
}

fn keep_where_whole<T>(lease: &mut Lease<'_, Dialer>, answer: &Result<T, Failure>) {
    if answer.as_ref().map_or_else(|failure| failure.whole, |_| true) {
        lease.keep();
    }
}

/// The numbers of late, each with a moment before its transaction.
#[derive(Debug, Default, Clone)]
struct Beats(VecDeque<(i64, Instant)>);

impl Beats {
    fn push(&mut self, number: i64, before: Instant) {
        self.0.push_back((number, before));
    }

    fn forget_before(&mut self, oldest: Option<Instant>) {
        while self.0.front().is_some_and(|(_, moment)| Some(*moment) < oldest) {
            self.0.pop_front();
        }
    }

    /// Up to when everything is there for one who has a number; none when that is longer ago than is known.
    fn moment_of(&self, number: i64) -> Option<Instant> {
        let reached = self.0.iter().rev().find(|(beat, _)| *beat <= number);
        reached.map(|(_, moment)| *moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_complete_up_to_the_last_number_that_it_has() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut beats = Beats::default();
        for (number, ms) in [(5, 0), (8, 10), (9, 20)] {
            beats.push(number, at(ms));
        }
        for (number, expected) in [(4, None), (5, Some(0)), (7, Some(0)), (8, Some(10)), (12, Some(20))] {
            assert_eq!(beats.moment_of(number), expected.map(at), "{number}");
        }
        beats.forget_before(Some(at(10)));
        assert_eq!(beats.moment_of(7), None);
        assert_eq!(beats.moment_of(8), Some(at(10)));
    }
}
