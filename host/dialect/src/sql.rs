//! What every relational store takes and gives: values, rows, steps, outcomes and errors.
//!
//! Owns the vocabulary and which error is worth a retry. Knows no store.

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
