//! The nodes of the cluster as this one knows them: who is alive, and who may have missed something.
//!
//! Kept up to date from outside; here it is only read, and told what could not be delivered.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The nodes that a push can be for.
#[derive(Debug)]
pub struct Peers {
    alive: RwLock<Arc<[String]>>,
    behind: Mutex<BTreeSet<String>>,
}

impl Peers {
    /// A cluster of this node alone, until more is known.
    pub fn new(this: &str) -> Self {
        Self {
            alive: RwLock::new([this.to_owned()].into()),
            behind: Mutex::default(),
        }
    }

    /// The nodes that are alive, this one among them.
    pub fn alive(&self) -> Arc<[String]> {
        Arc::clone(&self.alive.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the nodes that are alive.
    pub fn set_alive(&self, alive: Vec<String>) {
        *self.alive.write().unwrap_or_else(PoisonError::into_inner) = alive.into();
    }

    /// A node may have missed something: a push could not be put into its queue.
    pub fn note_behind(&self, node: &str) {
        self.behind().insert(node.to_owned());
    }

    /// The nodes that may have missed something since this was asked before.
    pub fn take_behind(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.behind())
    }

    fn behind(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
