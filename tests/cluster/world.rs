//! What all devices of a story share: where the nodes are now, what phase the story is in, and the counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::harness::dice::Dice;

/// How many faults are kept to be told.
const LISTED: usize = 12;

/// Where the nodes of a cluster listen now.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses(Arc<Mutex<BTreeMap<usize, String>>>);

impl Addresses {
    /// A node is there.
    pub(super) fn add(&self, node: usize, url: &str) {
        self.0.lock().expect("not poisoned").insert(node, url.to_owned());
    }

    /// A node is not there any more.
    pub(super) fn remove(&self, node: usize) {
        self.0.lock().expect("not poisoned").remove(&node);
    }

    /// One of the nodes; none when all are gone.
    pub(super) fn any(&self, dice: &mut Dice) -> Option<String> {
        let nodes = self.0.lock().expect("not poisoned");
        let most = u64::try_from(nodes.len()).expect("few");
        let chosen = usize::try_from(dice.between(0, most.max(1))).expect("few");
        nodes.values().nth(chosen).cloned()
    }
}

/// What devices do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// They talk and listen.
    Talk,
    /// They begin nothing new, and go on with what is not answered.
    Listen,
    /// They leave.
    Leave,
}

/// A number that many count.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Adds.
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Raises to at least this.
    pub(super) fn raise(&self, to: u64) {
        self.0.fetch_max(to, Ordering::Relaxed);
    }

    /// The number.
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened until now.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Sends that were begun, each once however often it was repeated.
    pub(super) begun: Count,
    pub(super) accepted: Count,
    /// Deliveries that the accepted sends call for.
    pub(super) expected: Count,
    /// Messages of others that devices have shown.
    pub(super) delivered: Count,
    pub(super) duplicates_on_wire: Count,
    pub(super) duplicates_shown: Count,
    pub(super) out_of_order: Count,
    /// The longest that a send waited for its answer, over repeats and other nodes.
    pub(super) longest_gap_ms: Count,
    /// Answers that said to try again.
    pub(super) turned_away: Count,
    /// Connections that ended.
    pub(super) reconnects: Count,
}

/// What the devices of a story share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) addresses: Addresses,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) counts: Counts,
    /// Between an answer and the next send, about.
    pub(super) pace: Duration,
    faults: Mutex<Vec<String>>,
}

impl World {
    /// A story that begins.
    pub(super) fn new(addresses: Addresses, pace: Duration) -> Self {
        Self {
            addresses,
            phase: watch::channel(Phase::Talk).0,
            counts: Counts::default(),
            pace,
            faults: Mutex::default(),
        }
    }

    /// What the devices do now.
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Something is not as was promised.
    pub(super) fn fault(&self, fault: String) {
        let mut faults = self.faults.lock().expect("not poisoned");
        if faults.len() < LISTED {
            faults.push(fault);
        }
    }

    /// The first faults.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.lock().expect("not poisoned").clone()
    }
}
