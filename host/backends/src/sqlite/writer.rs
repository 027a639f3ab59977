//! The one thread that writes: it takes the jobs that wait as one group, commits it and only then answers.
//!
//! A job is kept whole or not at all, and one that fails harms no other. A group runs first without a way back for
//! single jobs, since a savepoint copies every page that is changed after it; most jobs that fail do so before they
//! have changed anything. When one has changed rows and then fails, the group is undone and runs again, each job in a
//! savepoint of its own. Some failures of SQLite (a full disk, a stopped statement) undo the whole transaction; then
//! the job that met it has failed, and every other job of the group is run again in a transaction of its own, so that
//! no answer ever comes from a state that was not committed.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, Statement};
use tokio::sync::oneshot;

use super::alarm::Alarm;
use super::backlog::Consumer;
use super::error::{from_statement, from_transaction};
use super::gate::Gate;
use super::health::Health;
use super::statement::{self, Access, Budget};
use config::SqliteSettings;
use contract::sql::{Error, Outcome, Step, Widths};

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

/// What the writer counts.
struct Metrics {
    seconds: metrics::Histogram,
    commits: metrics::Counter,
    group_size: metrics::Histogram,
    repeated: metrics::Counter,
}

impl Metrics {
    fn new() -> Self {
        Self {
            seconds: metrics::histogram!("mpim_sql_write_seconds", "backend" => "sqlite"),
            commits: metrics::counter!("mpim_sql_commits_total", "backend" => "sqlite"),
            group_size: metrics::histogram!("mpim_sql_group_size", "backend" => "sqlite"),
            repeated: metrics::counter!("mpim_sql_groups_repeated_total", "backend" => "sqlite"),
        }
    }
}

/// A connection that writes, with its guards.
pub(super) struct Pen {
    pub(super) connection: Connection,
    pub(super) gate: Gate,
    pub(super) alarm: Alarm,
}

/// Serves jobs until their line ends.
pub(super) fn serve(pen: &Pen, jobs: &Consumer<Job>, path: &Path, settings: &SqliteSettings) {
    let mut health = Health::new(path, "write");
    let mut writer = match Writer::new(pen, settings) {
        Ok(writer) => writer,
        Err(error) => return health.note(&from_transaction(error)),
    };
    while let Some(group) = jobs.take(settings.group_max) {
        let group = group
            .into_iter()
            .filter_map(|job| writer.still_wanted(job))
            .collect::<Vec<_>>();
        let (size, begun) = (group.len(), Instant::now());
        if size > 0 {
            writer.keep(group, &mut health);
        }
        // Callers that were answered together often come again together. Without this the first of them would be
        // committed alone, and the others would wait for that.
        if size > 1 {
            jobs.wait_for_group(size, settings.group_wait_max().min(begun.elapsed() / 2));
        }
    }
}

fn too_late() -> Error {
    Error::Timeout("the deadline passed before the write began; nothing was kept".to_owned())
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
    settings: &'c SqliteSettings,
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    undo: Statement<'c>,
    metrics: Metrics,
}

impl<'c> Writer<'c> {
    fn new(pen: &'c Pen, settings: &'c SqliteSettings) -> rusqlite::Result<Self> {
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
            metrics: Metrics::new(),
        })
    }

    /// A job that came too late, or that nobody waits for any more, is not begun.
    fn still_wanted(&self, job: Job) -> Option<Job> {
        if job.answer.is_closed() {
            return None;
        }
        if Instant::now() < job.deadline {
            return Some(job);
        }
        self.answer(job, Err(too_late()));
        None
    }

    fn answer(&self, job: Job, answer: Answer) {
        self.metrics.seconds.record(job.asked.elapsed());
        // A caller that went away does not want its answer.
        let _ = job.answer.send(answer);
    }

    /// Runs the jobs of a group and answers each of them.
    fn keep(&mut self, group: Vec<Job>, health: &mut Health) {
        match self.transaction(&group) {
            Ok(answers) => {
                for (job, outcome) in group.into_iter().zip(answers) {
                    note(&outcome, health);
                    self.answer(job, outcome);
                }
            }
            Err(Undone::Group(error)) => {
                health.note(&error);
                group.into_iter().for_each(|job| self.answer(job, Err(error.clone())));
            }
            Err(Undone::By(culprit, error)) => {
                health.note(&error);
                for (index, job) in group.into_iter().enumerate() {
                    if index == culprit {
                        self.answer(job, Err(error.clone()));
                    } else if let Some(job) = self.still_wanted(job) {
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
        self.answer(job, outcome);
    }

    /// One transaction of all jobs; an answer of it is true only when this returns it.
    fn transaction(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Undone> {
        self.begin()?;
        let answers = match jobs {
            [job] => match self.run(job) {
                Ok(outcomes) => vec![Ok(outcomes)],
                Err(error) => {
                    self.abandon();
                    return Ok(vec![Err(error)]);
                }
            },
            _ => self.run_group(jobs).inspect_err(|_| self.abandon())?,
        };
        if let Err(error) = self.commit.raw_execute() {
            self.abandon();
            return Err(Undone::Group(from_transaction(error)));
        }
        self.metrics.commits.increment(1);
        #[expect(clippy::cast_precision_loss, reason = "a group is far smaller than 2^52")]
        self.metrics.group_size.record(jobs.len() as f64);
        Ok(answers)
    }

    fn begin(&mut self) -> Result<(), Undone> {
        let begun = self.begin.raw_execute();
        begun
            .map(|_| ())
            .map_err(|error| Undone::Group(from_transaction(error)))
    }

    fn run_group(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Undone> {
        if let Some(answers) = self.run_bare(jobs)? {
            return Ok(answers);
        }
        self.metrics.repeated.increment(1);
        self.abandon();
        self.begin()?;
        self.run_each(jobs)
    }

    /// Runs the jobs without savepoints. None: one had changed rows when it failed.
    fn run_bare(&self, jobs: &[Job]) -> Result<Option<Vec<Answer>>, Undone> {
        let connection = &self.pen.connection;
        let mut answers = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.iter().enumerate() {
            let before = connection.total_changes();
            let outcome = self.run(job);
            match &outcome {
                Err(error) if connection.is_autocommit() => return Err(Undone::By(index, error.clone())),
                Err(_) if connection.total_changes() != before => return Ok(None),
                _ => answers.push(outcome),
            }
        }
        Ok(Some(answers))
    }

    /// Runs each job in a savepoint.
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
        let outcomes = gate.guest(|| run_steps(connection, &job.steps, &mut budget));
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

fn run_steps(connection: &Connection, steps: &[Step], budget: &mut Budget) -> Answer {
    let widths = Widths::of(steps)?;
    let mut outcomes = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let taken = step.taken.iter().map(|taken| {
            let value = widths.value(*taken, &outcomes, index)?;
            Ok((taken.param as usize, value))
        });
        let taken = taken.collect::<Result<Vec<_>, Error>>()?;
        let outcome = statement::run(connection, &step.sql, &step.params, &taken, Access::Write, budget)?;
        let reached = outcome.affected.max(outcome.rows.len() as u64);
        if reached < u64::from(step.at_least) {
            return Err(Error::Unmet(u32::try_from(index).unwrap_or(u32::MAX)));
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}
