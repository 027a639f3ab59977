//! A store on MySQL: where it is, how many connections, and every bound with its unit.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::pool::PoolSettings;

/// The settings of a store on MySQL or MariaDB.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MysqlSettings {
    /// Where the database is: `mysql://user:password@host:port/database`.
    pub url: String,
    /// Replicas of it, `host` or `host:port`, for reads that may be a little old; user, password and database are those
    /// of `url`.
    pub replicas: Vec<String>,
    /// How old such an answer may be, in milliseconds: a replica that is further behind is not asked.
    pub replica_lag_max_ms: u64,
    /// The bounds of the pool of connections, to each server.
    pub pool: PoolSettings,
    /// How often a batch is repeated that the server undid for the sake of another: deadlocks, locks that were
    /// waited for too long, conflicts of a cluster. Never past the deadline.
    pub retries: u32,
    /// How long a statement waits for a lock before its batch is undone and repeated, in seconds.
    pub lock_wait_s: u32,
    /// How long one query or one batch may run, in milliseconds; the deadline of a call may be shorter. The server
    /// stops by itself a statement that runs for longer (MySQL: a reading one).
    pub query_timeout_ms: u64,
    /// Queries that each connection keeps prepared, those used last; 0 prepares none. All connections of all nodes
    /// together must not need more than the server's `max_prepared_stmt_count`: what is beyond it goes unprepared.
    pub statements_max: usize,
    /// Steps of one batch; one more is `invalid`.
    pub steps_max: usize,
    /// Rows that one query or one batch may return; one more is `overloaded`.
    pub rows_max: usize,
    /// Bytes that one query or one batch may return, and that the parameters of one statement may have.
    pub result_bytes_max: usize,
    /// Bytes of the text of one statement; one more is `invalid`.
    pub statement_bytes_max: usize,
}

/// What `dialect::limits` says for hosts without settings is the same here.
impl Default for MysqlSettings {
    fn default() -> Self {
        Self {
            url: "mysql://root@127.0.0.1:3306/mpim".to_owned(),
            replicas: Vec::new(),
            replica_lag_max_ms: 5000,
            pool: PoolSettings::default(),
            retries: 20,
            lock_wait_s: 2,
            query_timeout_ms: 5_000,
            statements_max: 64,
            steps_max: 4096,
            rows_max: 10_000,
            result_bytes_max: 8 * 1024 * 1024,
            statement_bytes_max: 64 * 1024,
        }
    }
}

impl MysqlSettings {
    /// How long one job may run.
    pub fn query_timeout(&self) -> Duration {
        Duration::from_millis(self.query_timeout_ms.max(1))
    }

    /// How old an answer of a replica may be.
    pub fn replica_lag_max(&self) -> Duration {
        Duration::from_millis(self.replica_lag_max_ms.max(1))
    }
}

/// Without the URL, which may have a password in it.
impl fmt::Debug for MysqlSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MysqlSettings")
            .field("replicas", &self.replicas)
            .field("replica_lag_max_ms", &self.replica_lag_max_ms)
            .field("pool", &self.pool)
            .field("retries", &self.retries)
            .field("lock_wait_s", &self.lock_wait_s)
            .field("query_timeout_ms", &self.query_timeout_ms)
            .field("statements_max", &self.statements_max)
            .field("steps_max", &self.steps_max)
            .field("rows_max", &self.rows_max)
            .field("result_bytes_max", &self.result_bytes_max)
            .field("statement_bytes_max", &self.statement_bytes_max)
            .finish_non_exhaustive()
    }
}
