//! A relational store: what it takes and gives, and what it promises.
//!
//! - Statements are the portable subset of SQLite and MySQL: `?` parameters, no upsert dialect, times as integer
//!   milliseconds. Texts are compared and ordered by their bytes.
//! - `query` is a statement without effect and sees everything that was written before it was called. Of what is written
//!   while it runs it may see a later write and not a former.
//! - `query_stale` may lack what was written of late, or a part of it; how old at most is a setting.
//! - `execute` and `batch` are durable when they return. A batch is one transaction: all steps in order, each seeing what
//!   the former did, or nothing of it.
//! - A step that reaches fewer rows than its `at_least` undoes the batch with [`Error::Unmet`]. A step may take
//!   parameters from the only row of an earlier step that has an `at_least` of 1.
//! - Everything is bounded by settings: rows and bytes of a result, steps of a batch, the time of a statement.
//! - Nothing was kept after any error but [`Error::Timeout`], after which a write may or may not have been kept.

/// One value of a row or of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A signed number of 64 bits.
    Integer(i64),
    /// A floating point number; not a number is refused, since no store keeps it.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The values of one row, in the order of the statement.
pub type Row = Vec<Value>;

/// One statement of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// One statement, with `?` for each parameter.
    pub sql: String,
    /// As many as there are `?`.
    pub params: Vec<Value>,
    /// Fewer rows changed or returned than this undo the batch, with [`Error::Unmet`].
    pub at_least: u32,
    /// Parameters whose values earlier steps read.
    pub taken: Vec<Taken>,
}

/// A parameter that takes its value from the only row of an earlier step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Which `?` of the statement.
    pub param: u32,
    /// Which step of the batch.
    pub step: u32,
    /// Which column of its row.
    pub column: u32,
}

/// How many columns the steps have that others take from: up to the last one that is taken, and no more.
#[derive(Debug)]
pub struct Widths(Vec<u32>);

impl Widths {
    /// Reads them off a batch, or says what cannot be taken.
    pub fn of(steps: &[Step]) -> Result<Self, Error> {
        let mut widths = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            for taken in &step.taken {
                let from = index(taken.step);
                let given = steps.get(from).filter(|given| from < at && given.at_least > 0);
                if given.is_none() || index(taken.param) >= step.params.len() || taken.column >= COLUMNS_MAX {
                    return Err(wrong(at));
                }
                widths.resize(steps.len(), 0);
                if let Some(width) = widths.get_mut(from) {
                    *width = taken.column.saturating_add(1).max(*width);
                }
            }
        }
        Ok(Self(widths))
    }

    /// How many columns a step has; 0 where nobody takes any.
    pub fn width(&self, step: usize) -> u32 {
        self.0.get(step).copied().unwrap_or(0)
    }

    /// What one parameter takes of what the steps before did; `step` is the one that takes it.
    pub fn value<'a>(&self, taken: Taken, outcomes: &'a [Outcome], step: usize) -> Result<&'a Value, Error> {
        let from = index(taken.step);
        match outcomes.get(from).map(|outcome| outcome.rows.as_slice()) {
            Some([row]) if row.len() == index(self.width(from)) => row.get(index(taken.column)),
            _ => None,
        }
        .ok_or_else(|| wrong(step))
    }
}

/// How many columns of a step others may take.
const COLUMNS_MAX: u32 = 32;

fn wrong(step: usize) -> Error {
    Error::Invalid(format!(
        "step {step} takes what no step before it reads as one row of as many columns"
    ))
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Rows changed by an INSERT, UPDATE or DELETE; 0 for any other statement.
    pub affected: u64,
    /// Rows returned by a SELECT.
    pub rows: Vec<Row>,
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A unique key has this value already; names the columns where the store does.
    #[error("a unique key has this value already: {0}")]
    UniqueViolation(String),
    /// The step of this index reached fewer rows than it had to; nothing of the batch was kept.
    #[error("step {0} reached fewer rows than it must")]
    Unmet(u32),
    /// The statement or its parameters are wrong.
    #[error("{0}")]
    Invalid(String),
    /// The store cannot be used for now; nothing was kept.
    #[error("{0}")]
    Unavailable(String),
    /// A bound was met; nothing was kept.
    #[error("{0}")]
    Overloaded(String),
    /// The deadline passed first; a write may or may not have been kept.
    #[error("{0}")]
    Timeout(String),
}

impl Error {
    /// Whether the same request may succeed later. After [`Error::Timeout`] a repeated write must be safe to
    /// repeat, since the first may have been kept.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Overloaded(_) | Self::Timeout(_))
    }
}
