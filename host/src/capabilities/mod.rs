//! What the host gives to components: the interfaces of `mpim:host`, each over its backend.
//!
//! A [`Node`] is what all functions share; a [`Granted`] is what one function has of its own: its
//! settings, its breakers and buckets, its bounds on logs and metrics. Names and keys of a function are
//! kept apart from those of others, so a component reaches nobody else's cache or leases. No
//! capability knows the gateway: what shall reach clients goes into the queue of their node.

mod cache;
mod guards;
mod password;
mod peers;
mod push;
mod services;
mod sql;
mod stores;
mod telemetry;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{HasSelf, Linker};

use crate::breakers::Breaker;
use crate::config::{FunctionSettings, Settings};
use backends::read_through::ReadThrough;
use backends::{Cache, Metadata, Queue, Sql};
use contract::Fault;

pub use password::Passwords;
pub use peers::Peers;
pub use push::publish;
pub use snowflake::{Ids, Loan, NoWorker, WORKERS, now_ms};
pub use telemetry::Meter;

pub(crate) mod bindings {
    //! Generated from `wit/host`.
    #![allow(
        missing_docs,
        clippy::allow_attributes,
        reason = "generated from WIT, where the documentation is"
    )]
    wasmtime::component::bindgen!({
        path: "../wit/host",
        world: "capabilities",
        imports: { "mpim:host/ids": trappable },
    });
}
use bindings::mpim::host as wit;

/// The backends of this node, shared by all functions.
pub struct Node {
    /// The name under which other nodes know this one.
    pub name: Arc<str>,
    /// The relational store.
    pub sql: Sql,
    /// Opens when reads of the relational store fail again and again.
    pub sql_reads: Breaker,
    /// Opens when its writes do. A store that cannot be written, being full or locked, can still be read.
    pub sql_writes: Breaker,
    /// The cache.
    pub cache: Cache,
    /// The loads that go through the cache.
    pub read_through: ReadThrough,
    /// Leases and locks.
    pub metadata: Metadata,
    /// Opens when they fail again and again: a call that cannot have them soon knows, instead of waiting.
    pub metadata_calls: Breaker,
    /// Queues; among them those of the gateways.
    pub queue: Queue,
    /// What this node tells its own connections, where queues are on a server: what goes no further than this process
    /// need not go there and back. It ends with the node, as they do.
    pub near: Option<Queue>,
    /// Opens when they fail again and again.
    pub queue_calls: Breaker,
    /// The other nodes, as far as this one knows them.
    pub peers: Peers,
    /// Unique ids.
    pub ids: Ids,
    /// Argon2id.
    pub passwords: Passwords,
}

impl Node {
    /// Writes the gauges of the connections to servers.
    pub fn measure(&self) {
        self.sql.measure();
        let links = [self.cache.link(), self.metadata.link(), self.queue.link()];
        links.into_iter().flatten().for_each(|link| link.measure());
    }
}

/// What one function has of its own.
pub struct Granted {
    /// The name of the function.
    pub function: Arc<str>,
    config: std::collections::BTreeMap<String, String>,
    /// The space of its keys in the cache.
    cache_space: String,
    lookups: cache::Counters,
    meter: Meter,
    breakers: guards::Breakers,
    buckets: guards::Buckets,
}

impl Granted {
    /// What a function has according to the manifest.
    pub fn new(function: Arc<str>, settings: &FunctionSettings, node: &Settings) -> Self {
        Self {
            config: settings
                .config
                .iter()
                .map(|(key, value)| (key.clone(), value.to_string()))
                .collect(),
            meter: Meter::new(function.clone(), node.telemetry.clone()),
            cache_space: settings.cache_space.clone().unwrap_or_else(|| function.to_string()),
            lookups: cache::Counters::new(&function),
            breakers: guards::Breakers::new(node.breaker.clone()),
            buckets: guards::Buckets::new(settings.rates.clone(), node.telemetry.rate_keys_max),
            function,
        }
    }
}

/// What the capabilities see of a sandbox: the node, the function, and the deadline of its call.
#[derive(Clone)]
pub struct Guest {
    /// What all functions share.
    pub node: Arc<Node>,
    /// What this function has of its own.
    pub granted: Arc<Granted>,
    /// When the call that the sandbox serves must be done.
    pub deadline: Instant,
}

impl Guest {
    /// A key of this function, apart from those of all others.
    fn scoped(&self, key: &str) -> String {
        format!("{}/{key}", self.granted.function)
    }
}

/// The interfaces that can be imported, without their versions.
pub const OFFERED: [&str; 12] = [
    "mpim:host/types",
    "mpim:host/sql",
    "mpim:host/cache",
    "mpim:host/metadata",
    "mpim:host/queue",
    "mpim:host/subscriptions",
    "mpim:host/ids",
    "mpim:host/password",
    "mpim:host/telemetry",
    "mpim:host/breaker",
    "mpim:host/rate-limit",
    "mpim:host/config",
];

/// Links every capability. A component gets those that it imports.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    guest: fn(&mut T) -> &mut Guest,
) -> wasmtime::Result<()> {
    bindings::Capabilities::add_to_linker::<T, HasSelf<Guest>>(linker, guest)
}

impl wit::types::Host for Guest {}

/// Asks a backend unless its breaker is open.
async fn guarded<R>(breaker: &Breaker, work: impl Future<Output = Result<R, Fault>>) -> Result<R, Fault> {
    if !breaker.allow() {
        return Err(Fault::Unavailable(
            "the backend is failing and is not asked for a moment".to_owned(),
        ));
    }
    let mut verdict = Verdict::new(breaker);
    let outcome = work.await;
    verdict.success = Some(!matches!(outcome, Err(Fault::Unavailable(_) | Fault::Timeout(_))));
    outcome
}

/// A backend that lets one call wait for longer counts as one that cannot be used.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a breaker is told when a call ends, or is given up by who made it: that says something about the backend only
/// when it had its time.
struct Verdict<'a> {
    breaker: &'a Breaker,
    asked: Instant,
    success: Option<bool>,
}

impl<'a> Verdict<'a> {
    fn new(breaker: &'a Breaker) -> Self {
        Self {
            breaker,
            asked: Instant::now(),
            success: None,
        }
    }

    fn had_time(&self) -> bool {
        self.asked.elapsed() >= PATIENCE
    }
}

impl Drop for Verdict<'_> {
    fn drop(&mut self) {
        match self.success {
            Some(success) => self.breaker.report(success),
            None if self.had_time() => self.breaker.report(false),
            None => {}
        }
    }
}

impl From<Fault> for wit::types::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Invalid(message) => Self::Invalid(message),
            Fault::Unavailable(message) => Self::Unavailable(message),
            Fault::Overloaded(message) => Self::Overloaded(message),
            Fault::Timeout(message) => Self::Timeout(message),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
