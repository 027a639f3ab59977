//! What a statement of a guest may do at all, decided while SQLite prepares it.
//!
//! Reading and changing rows is all: no schema, no transactions of their own, no settings, no other files. What
//! is not named here is refused, so that a new ability of SQLite stays closed until someone opens it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::migrations;

/// Whether the statements of a writing connection come from a guest or from the writer itself.
#[derive(Debug)]
pub(super) struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Closes a connection to everything but reading, for good.
    pub(super) fn reads(connection: &mut Connection) -> rusqlite::Result<()> {
        connection.authorizer(Some(|context: AuthContext<'_>| decide(reads(context.action))))
    }

    /// Puts a gate on a connection that writes; it is open to everything until [`Gate::guest`].
    pub(super) fn writes(connection: &mut Connection) -> rusqlite::Result<Self> {
        let guest = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&guest);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            decide(!watched.load(Ordering::Relaxed) || reads(context.action) || changes(context.action))
        }))?;
        Ok(Self(guest))
    }

    /// Runs statements of a guest. They are checked when they are prepared, which may also happen again while
    /// they run.
    pub(super) fn guest<T>(&self, run: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::Relaxed);
        let answer = run();
        self.0.store(false, Ordering::Relaxed);
        answer
    }
}

fn decide(allowed: bool) -> Authorization {
    if allowed {
        Authorization::Allow
    } else {
        Authorization::Deny
    }
}

fn reads(action: AuthAction<'_>) -> bool {
    matches!(
        action,
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Function { .. } | AuthAction::Recursive
    )
}

fn changes(action: AuthAction<'_>) -> bool {
    match action {
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => {
            !table_name.starts_with("sqlite_") && table_name != migrations::HISTORY
        }
        _ => false,
    }
}
