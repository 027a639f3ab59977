//! The threads that read, each on a connection of its own that cannot write.
//!
//! Every statement sees what was committed before it began, so a read sees every write that was answered before
//! it was asked for.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::alarm::Alarm;
use super::backlog::Consumer;
use super::health::Health;
use super::statement::{self, Access, Budget};
use config::SqliteSettings;
use contract::sql::{Error, Row, Value};

/// What became of a query.
pub(super) type Answer = Result<Vec<Row>, Error>;

/// One read.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) params: Vec<Value>,
    pub(super) asked: Instant,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// A connection that reads, with its guard.
pub(super) struct Lens {
    pub(super) connection: Connection,
    pub(super) alarm: Alarm,
}

/// Serves queries until their line ends.
pub(super) fn serve(lens: &Lens, queries: &Consumer<Query>, path: &Path, settings: &SqliteSettings) {
    let mut health = Health::new(path, "read");
    while let Some(taken) = queries.take(1) {
        for query in taken.into_iter().filter(|query| !query.answer.is_closed()) {
            let answer = run(lens, &query, settings);
            match &answer {
                Ok(_) => health.works(),
                Err(error) => health.note(error),
            }
            metrics::histogram!("mpim_sql_read_seconds", "backend" => "sqlite").record(query.asked.elapsed());
            // A caller that went away does not want its answer.
            let _ = query.answer.send(answer);
        }
    }
}

fn run(lens: &Lens, query: &Query, settings: &SqliteSettings) -> Answer {
    let now = Instant::now();
    if now >= query.deadline {
        return Err(Error::Timeout("the deadline passed before the query began".to_owned()));
    }
    lens.alarm.set(query.deadline.min(now + settings.statement_timeout()));
    let mut budget = Budget::of(settings);
    Ok(statement::run(
        &lens.connection,
        &query.sql,
        &query.params,
        &[],
        Access::Read,
        &mut budget,
    )?
    .rows)
}
