//! The relational stores, as one.

use std::time::Instant;

use contract::sql::{Error, Outcome, Row, Step, Value};

use crate::{mysql, sqlite};

/// A relational store.
#[derive(Debug)]
pub enum Sql {
    /// One file, written by one thread of this process.
    Sqlite(sqlite::Sqlite),
    /// A server, shared by all nodes.
    Mysql(mysql::Mysql),
}

impl Sql {
    /// Writes the gauges of its connections, where it has any.
    pub fn measure(&self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Mysql(mysql) => mysql.measure(),
        }
    }

    /// The rows of a statement without effect; sees everything that was written before it was called.
    pub async fn query(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<Vec<Row>, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, params, deadline).await,
            Self::Mysql(mysql) => mysql.query(sql, params, deadline).await,
        }
    }

    /// The same where the answer may be a little old: without what was written of late, or a part of it. How old at
    /// most is a setting; a store in one file is never behind.
    pub async fn query_stale(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<Vec<Row>, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, params, deadline).await,
            Self::Mysql(mysql) => mysql.query_stale(sql, params, deadline).await,
        }
    }

    /// One write, durable when it returns; the number of rows changed.
    pub async fn execute(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<u64, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute(sql, params, deadline).await,
            Self::Mysql(mysql) => mysql.execute(sql, params, deadline).await,
        }
    }

    /// All steps in one transaction, durable when it returns, or nothing of them; one outcome a step.
    pub async fn batch(&self, steps: Vec<Step>, deadline: Instant) -> Result<Vec<Outcome>, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.batch(steps, deadline).await,
            Self::Mysql(mysql) => mysql.batch(steps, deadline).await,
        }
    }
}
