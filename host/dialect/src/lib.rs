//! How a server of MySQL is spoken to, whatever carries the words there: what a statement of a guest may be, what it
//! takes and gives, and what the server's errors mean.
//!
//! It owns no connection, and compiles to WebAssembly as well.

pub mod failure;
pub mod gate;
pub mod session;

/// The limits that a host has unless it is told otherwise.
pub mod limits {
    /// Repeats of what a conflict with others undid.
    pub const RETRIES: u32 = 20;
    /// How long a statement waits for a lock, in seconds.
    pub const LOCK_WAIT_S: u32 = 2;
    /// How long one job may run, in milliseconds.
    pub const JOB_MS: u64 = 5_000;
    /// Steps of one batch.
    pub const STEPS_MAX: usize = 4096;
    /// Rows that one statement may return.
    pub const ROWS_MAX: usize = 10_000;
    /// Bytes of the text of one statement.
    pub const STATEMENT_BYTES_MAX: usize = 64 * 1024;
}
