//! The embedded store: how durable, how many readers, and every bound with its unit.

use std::time::Duration;

use serde::Deserialize;

/// When a write counts as kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SqliteSynchronous {
    /// Once the disk has it: an answered write survives the loss of power.
    #[default]
    Full,
    /// Once the operating system has it: an answered write survives the death of the process, not the loss of power.
    Normal,
}

/// The settings of an embedded store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqliteSettings {
    /// When a write counts as kept.
    pub synchronous: SqliteSynchronous,
    /// Threads that read, each with its own connection.
    pub readers: usize,
    /// Jobs that one commit may hold.
    pub group_max: usize,
    /// How long the writer waits, in microseconds, until as many jobs wait again as it committed last; never longer
    /// than half of what that commit took, and never when it committed one job alone.
    pub group_wait_max_us: u64,
    /// Jobs that may wait for the writer, and for the readers; one more is `overloaded`.
    pub queue_max: usize,
    /// Steps of one batch; one more is `invalid`.
    pub steps_max: usize,
    /// Rows that one query or one batch may return; one more is `overloaded`.
    pub rows_max: usize,
    /// Bytes that one query or one batch may return, and the largest value or row that is kept.
    pub result_bytes_max: usize,
    /// Bytes of the text of one statement; one more is `invalid`.
    pub statement_bytes_max: usize,
    /// Statements that each connection keeps prepared.
    pub statements_kept: usize,
    /// How long to wait for a file that another process has locked, in milliseconds.
    pub busy_timeout_ms: u64,
    /// How long one query or one batch may run, in milliseconds; the deadline of a call may be shorter.
    pub statement_timeout_ms: u64,
    /// Memory for pages, for each connection, in KiB.
    pub cache_kib: u32,
    /// Pages in the write-ahead log after which they are copied into the database file.
    pub checkpoint_pages: u32,
    /// Memory that SQLite may take for everything, over all stores of the process, in MiB; a statement that
    /// needs more is `overloaded`. The first store of the process decides: SQLite only lets it be lowered.
    pub memory_max_mib: u32,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            synchronous: SqliteSynchronous::Full,
            readers: 2,
            group_max: 256,
            group_wait_max_us: 1000,
            queue_max: 4096,
            steps_max: 4096,
            rows_max: 10_000,
            result_bytes_max: 8 * 1024 * 1024,
            statement_bytes_max: 64 * 1024,
            statements_kept: 256,
            busy_timeout_ms: 2000,
            statement_timeout_ms: 5000,
            cache_kib: 16 * 1024,
            checkpoint_pages: 4000,
            memory_max_mib: 512,
        }
    }
}

impl SqliteSettings {
    /// How long to wait for a lock of another process. SQLite counts in 31 bits: more is 24 days.
    pub fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms.min(u64::from(i32::MAX.unsigned_abs())))
    }

    /// How long the writer waits for its group to fill.
    pub fn group_wait_max(&self) -> Duration {
        Duration::from_micros(self.group_wait_max_us)
    }

    /// How long one job may run.
    pub fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_refused() {
        let settings = toml::from_str::<SqliteSettings>("synchronous = 'normal'\nreaders = 3").unwrap();
        assert_eq!(
            (settings.synchronous, settings.readers, settings.group_max),
            (SqliteSynchronous::Normal, 3, 256)
        );
        assert!(toml::from_str::<SqliteSettings>("reader = 3").is_err());
    }
}
