//! Says once in the log that a store stopped working, and once that it works again.

use std::path::{Path, PathBuf};

use contract::sql::Error;

/// The health of one thread of a store.
#[derive(Debug)]
pub(super) struct Health {
    path: PathBuf,
    side: &'static str,
    failing: bool,
}

impl Health {
    /// A healthy thread that serves `side` of the store in the file.
    pub(super) fn new(path: &Path, side: &'static str) -> Self {
        Self {
            path: path.to_path_buf(),
            side,
            failing: false,
        }
    }

    /// The store did something.
    pub(super) fn works(&mut self) {
        if std::mem::take(&mut self.failing) {
            tracing::info!(file = %self.path.display(), side = self.side, "the store works again");
        }
    }

    /// A job failed; only what is the fault of the store counts.
    pub(super) fn note(&mut self, error: &Error) {
        if !matches!(error, Error::Unavailable(_)) || std::mem::replace(&mut self.failing, true) {
            return;
        }
        tracing::error!(file = %self.path.display(), side = self.side, %error, "the store stopped working");
    }
}
