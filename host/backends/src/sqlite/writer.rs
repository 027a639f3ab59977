//! The one thread that writes: it gathers the jobs that wait, commits them together and only then answers.
//!
//! A job is kept whole or not at all, and one that fails harms no other: each runs in a savepoint of its own. Some
//! failures of SQLite (a full disk, a stopped statement) undo the whole transaction; then the job that met it has
//! failed, and every other job of the group is run again in a transaction of its own, so that no answer ever comes
//! from a state that was not committed.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, Statement};
use tokio::sync::oneshot;

use super::alarm::Alarm;
use super::backlog::Consumer;
use super::error::{from_statement, from_transaction};
use super::gate::Gate;
use super::health::Health;
use super::settings::Settings;
use super::statement::{self, Access, Budget};
use crate::sql::{Error, Outcome, Step};

/// What became of a job.
pub(super) type Answer = Result<Vec<Outcome>, Error>;

/// Steps that are kept together or not at all.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) steps: Vec<Step>,
    pub(super) asked: Instant,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Why a transaction came to nothing.
enum Undone {
    /// It could not be begun or committed: every job of it failed alike.
    Group(Error),
    /// The job of this index broke it.
    By(usize, Error),
}

/// A connection that writes, with its guards.
pub(super) struct Pen {
    pub(super) connection: Connection,
    pub(super) gate: Gate,
    pub(super) alarm: Alarm,
}

/// Serves jobs until their line ends.
pub(super) fn serve(pen: &Pen, jobs: &Consumer<Job>, path: &Path, settings: &Settings) {
    let mut health = Health::new(path, "write");
    let mut writer = match Writer::new(pen, settings) {
        Ok(writer) => writer,
        Err(error) => return health.note(&from_transaction(error)),
    };
    while let Some(group) = jobs.take(settings.group_max) {
        let group = group.into_iter().filter_map(still_wanted).collect::<Vec<_>>();
        let (size, begun) = (group.len(), Instant::now());
        if size > 0 {
            writer.keep(group, &mut health);
        }
        // Callers that were answered together often come again together. Without this the first of them would be
        // committed alone, and the others would wait for that.
        if size > 1 {
            jobs.gather(size, settings.gather_max().min(begun.elapsed() / 2));
        }
    }
}

/// A job that came too late, or that nobody waits for any more, is not begun.
fn still_wanted(job: Job) -> Option<Job> {
    if job.answer.is_closed() {
        return None;
    }
    if Instant::now() < job.deadline {
        return Some(job);
    }
    answer(job, Err(too_late()));
    None
}

fn too_late() -> Error {
    Error::Timeout("the deadline passed before the write began; nothing was kept".to_owned())
}

fn answer(job: Job, answer: Answer) {
    metrics::histogram!("mpim_sql_write_seconds", "backend" => "sqlite").record(job.asked.elapsed());
    // A caller that went away does not want its answer.
    let _ = job.answer.send(answer);
}

fn note(outcome: &Answer, health: &mut Health) {
    match outcome {
        Ok(_) => health.works(),
        Err(error) => health.note(error),
    }
}

/// The statements of the writer itself, prepared once.
struct Writer<'c> {
    pen: &'c Pen,
    settings: &'c Settings,
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    undo: Statement<'c>,
}

impl<'c> Writer<'c> {
    fn new(pen: &'c Pen, settings: &'c Settings) -> rusqlite::Result<Self> {
        let connection = &pen.connection;
        Ok(Self {
            pen,
            settings,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            savepoint: connection.prepare("SAVEPOINT job")?,
            release: connection.prepare("RELEASE job")?,
            undo: connection.prepare("ROLLBACK TO job")?,
        })
    }

    /// Runs the jobs of a group and answers each of them.
    fn keep(&mut self, group: Vec<Job>, health: &mut Health) {
        match self.transaction(&group) {
            Ok(answers) => {
                for (job, outcome) in group.into_iter().zip(answers) {
                    note(&outcome, health);
                    answer(job, outcome);
                }
            }
            Err(Undone::Group(error)) => {
                health.note(&error);
                group.into_iter().for_each(|job| answer(job, Err(error.clone())));
            }
            Err(Undone::By(culprit, error)) => {
                health.note(&error);
                for (index, job) in group.into_iter().enumerate() {
                    if index == culprit {
                        answer(job, Err(error.clone()));
                    } else if let Some(job) = still_wanted(job) {
                        self.keep_alone(job, health);
                    }
                }
            }
        }
    }

    fn keep_alone(&mut self, job: Job, health: &mut Health) {
        let outcome = match self.transaction(std::slice::from_ref(&job)) {
            Ok(mut answers) => answers.pop().unwrap_or_else(|| Ok(Vec::new())),
            Err(Undone::Group(error) | Undone::By(_, error)) => Err(error),
        };
        note(&outcome, health);
        answer(job, outcome);
    }

    /// One transaction of all jobs; an answer of it is true only when this returns it.
    fn transaction(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Undone> {
        self.begin
            .raw_execute()
            .map_err(|error| Undone::Group(from_transaction(error)))?;
        let answers = match jobs {
            [job] => match self.run(job) {
                Ok(outcomes) => vec![Ok(outcomes)],
                Err(error) => {
                    self.abandon();
                    return Ok(vec![Err(error)]);
                }
            },
            _ => self.run_each(jobs).inspect_err(|_| self.abandon())?,
        };
        if let Err(error) = self.commit.raw_execute() {
            self.abandon();
            return Err(Undone::Group(from_transaction(error)));
        }
        metrics::counter!("mpim_sql_commits_total", "backend" => "sqlite").increment(1);
        #[expect(clippy::cast_precision_loss, reason = "a group is far smaller than 2^52")]
        metrics::histogram!("mpim_sql_group_size", "backend" => "sqlite").record(jobs.len() as f64);
        Ok(answers)
    }

    fn run_each(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Undone> {
        let mut answers = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.iter().enumerate() {
            let broken = |error| Undone::Group(from_transaction(error));
            self.savepoint.raw_execute().map_err(broken)?;
            let outcome = self.run(job);
            if let Err(error) = &outcome {
                if self.pen.connection.is_autocommit() {
                    return Err(Undone::By(index, error.clone()));
                }
                self.undo.raw_execute().map_err(broken)?;
            }
            self.release.raw_execute().map_err(broken)?;
            answers.push(outcome);
        }
        Ok(answers)
    }

    /// The steps of one job, within its time and budget.
    fn run(&self, job: &Job) -> Answer {
        let Pen {
            connection,
            gate,
            alarm,
        } = self.pen;
        let latest = Instant::now() + self.settings.statement_timeout();
        alarm.set(job.deadline.min(latest));
        let mut budget = Budget::of(self.settings);
        let outcomes = gate.guest(|| {
            (0..)
                .zip(&job.steps)
                .map(|(index, step)| run_step(connection, index, step, &mut budget))
                .collect()
        });
        alarm.clear();
        outcomes
    }

    /// Ends a transaction that shall not be kept, where SQLite has not done so itself.
    fn abandon(&mut self) {
        if self.pen.connection.is_autocommit() {
            return;
        }
        if let Err(error) = self.rollback.raw_execute() {
            tracing::error!(error = %from_statement(error), "a transaction could not be rolled back");
        }
    }
}

fn run_step(connection: &Connection, index: u32, step: &Step, budget: &mut Budget) -> Result<Outcome, Error> {
    let outcome = statement::run(connection, &step.sql, &step.params, Access::Write, budget)?;
    let reached = outcome.affected.max(outcome.rows.len() as u64);
    if reached < u64::from(step.at_least) {
        Err(Error::Unmet(index))
    } else {
        Ok(outcome)
    }
}
