//! The embedded relational store: one file, one thread that writes, a few that read.
//!
//! Owns the file while it is open (that no other process has it is the host's to see to; one that does makes
//! writes `unavailable`, never wrong). An answered write is on the disk. Commits are made in groups: the more callers write at
//! once, the fewer times the disk is waited for. Knows no schema but by its migrations.

mod alarm;
mod backlog;
mod connection;
mod error;
mod gate;
mod health;
mod migrations;
mod reader;
mod statement;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::oneshot;

use self::alarm::Alarm;
use self::backlog::{Backlog, Refused};
use self::gate::Gate;
use self::reader::{Lens, Query};
use self::writer::{Job, Pen};
use config::SqliteSettings;
use contract::sql::{Error, Outcome, Row, Step, Value};

pub use self::error::OpenError;
pub use self::migrations::migrate;

/// An open embedded store. Dropping it serves what waits, ends its threads and waits for them.
#[derive(Debug)]
pub struct Sqlite {
    writes: Arc<Backlog<Job>>,
    reads: Arc<Backlog<Query>>,
    steps_max: usize,
    writer: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens a file, made when it is absent, and starts the threads. Blocks for as long as the file is locked, at
    /// most `busy_timeout_ms`.
    pub fn open(path: &Path, settings: &SqliteSettings) -> Result<Self, OpenError> {
        Self::start(open_pen(path, settings)?, path, settings)
    }

    fn start(pen: Pen, path: &Path, settings: &SqliteSettings) -> Result<Self, OpenError> {
        let lenses = (0..settings.readers.max(1))
            .map(|_| open_lens(path, settings))
            .collect::<Result<Vec<_>, _>>()?;
        let mut store = Self {
            writes: Backlog::new("write", settings.queue_max),
            reads: Backlog::new("read", settings.queue_max),
            steps_max: settings.steps_max,
            writer: None,
            readers: Vec::new(),
        };
        // A thread that cannot be started drops the store, which ends those that were.
        store.start_writer(pen, path, settings)?;
        for lens in lenses {
            store.start_reader(lens, path, settings)?;
        }
        Ok(store)
    }

    /// The rows of one statement without effect.
    pub async fn query(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<Vec<Row>, Error> {
        let (answer, answered) = oneshot::channel();
        let query = Query {
            sql,
            params,
            asked: Instant::now(),
            deadline,
            answer,
        };
        self.reads.push(query).map_err(|refused| refusal(refused, "readers"))?;
        wait(answered, deadline).await
    }

    /// One statement, durable when it returns; the number of rows changed.
    pub async fn execute(&self, sql: String, params: Vec<Value>, deadline: Instant) -> Result<u64, Error> {
        let outcomes = self
            .batch(
                vec![Step {
                    sql,
                    params,
                    at_least: 0,
                    taken: Vec::new(),
                }],
                deadline,
            )
            .await?;
        Ok(outcomes.first().map_or(0, |outcome| outcome.affected))
    }

    /// All steps or none of them, durable when it returns.
    pub async fn batch(&self, steps: Vec<Step>, deadline: Instant) -> Result<Vec<Outcome>, Error> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        if steps.len() > self.steps_max {
            return Err(Error::Invalid(format!("a batch has at most {} steps", self.steps_max)));
        }
        let (answer, answered) = oneshot::channel();
        let job = Job {
            steps,
            asked: Instant::now(),
            deadline,
            answer,
        };
        self.writes.push(job).map_err(|refused| refusal(refused, "writer"))?;
        wait(answered, deadline).await
    }

    /// Serves what waits, ends the threads and waits for them. Blocks.
    pub fn close(self) {
        drop(self);
    }

    fn start_writer(&mut self, pen: Pen, path: &Path, settings: &SqliteSettings) -> Result<(), OpenError> {
        let (jobs, file, settings) = (self.writes.consumer(), path.to_path_buf(), settings.clone());
        let thread = thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || writer::serve(&pen, &jobs, &file, &settings))
            .map_err(|source| OpenError::Thread {
                path: path.to_path_buf(),
                source,
            })?;
        self.writer = Some(thread);
        Ok(())
    }

    fn start_reader(&mut self, lens: Lens, path: &Path, settings: &SqliteSettings) -> Result<(), OpenError> {
        let (queries, file, settings) = (self.reads.consumer(), path.to_path_buf(), settings.clone());
        let thread = thread::Builder::new()
            .name(format!("sqlite-reader-{}", self.readers.len()))
            .spawn(move || reader::serve(&lens, &queries, &file, &settings))
            .map_err(|source| OpenError::Thread {
                path: path.to_path_buf(),
                source,
            })?;
        self.readers.push(thread);
        Ok(())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.reads.close();
        self.writes.close();
        // The writer goes last: the last connection to go copies the log into the file.
        for thread in self.readers.drain(..).chain(self.writer.take()) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store ended with a panic");
            }
        }
    }
}

fn open_pen(path: &Path, settings: &SqliteSettings) -> Result<Pen, OpenError> {
    let mut connection = connection::open(path, settings)?;
    let guards = Gate::writes(&mut connection).and_then(|gate| Ok((gate, Alarm::install(&mut connection)?)));
    let (gate, alarm) = guards.map_err(|error| OpenError::from_sqlite(path, &error))?;
    Ok(Pen {
        connection,
        gate,
        alarm,
    })
}

fn open_lens(path: &Path, settings: &SqliteSettings) -> Result<Lens, OpenError> {
    let mut connection = connection::open_reader(path, settings)?;
    let alarm = Gate::reads(&mut connection)
        .and_then(|()| Alarm::install(&mut connection))
        .map_err(|error| OpenError::from_sqlite(path, &error))?;
    Ok(Lens { connection, alarm })
}

fn refusal(refused: Refused, who: &str) -> Error {
    match refused {
        Refused::Full => Error::Overloaded(format!("too many jobs wait for the {who} of the store")),
        Refused::Closed => Error::Unavailable("the store is closed".to_owned()),
    }
}

async fn wait<T>(answered: oneshot::Receiver<Result<T, Error>>, deadline: Instant) -> Result<T, Error> {
    match tokio::time::timeout_at(deadline.into(), answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Error::Unavailable("the thread of the store ended".to_owned())),
        Err(_) => Err(Error::Timeout(
            "the deadline passed before the store answered".to_owned(),
        )),
    }
}
