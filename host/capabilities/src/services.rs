//! What all functions of a node share.

use std::sync::Arc;

use backends::read_through::ReadThrough;
use backends::{Cache, Metadata, Queue, Sql};
use config::{Settings, ms};
use policy::Breaker;
use snowflake::Ids;

use crate::passwords::Passwords;
use crate::peers::Peers;

/// The backends of a node and what stands before them, shared by all its functions.
pub struct Services {
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
    pub local_queue: Option<Queue>,
    /// Opens when they fail again and again.
    pub queue_calls: Breaker,
    /// The other nodes, as far as this one knows them.
    pub peers: Peers,
    /// Unique ids.
    pub ids: Ids,
    /// Argon2id.
    pub passwords: Passwords,
}

/// The backends of a node.
pub struct Backends {
    /// The relational store.
    pub sql: Sql,
    /// The cache.
    pub cache: Cache,
    /// Leases and locks.
    pub metadata: Metadata,
    /// The queues.
    pub queue: Queue,
    /// The queue of this node alone for its own connections; none where all queues are in this process.
    pub local_queue: Option<Queue>,
}

impl Services {
    /// Those of a node of this name on some backends, with closed breakers. There are no ids before a worker number is lent.
    pub fn new(name: &str, backends: Backends, settings: &Settings) -> Self {
        let breaker = || Breaker::new(settings.breaker.failures, ms(settings.breaker.open_ms));
        Self {
            name: name.into(),
            sql: backends.sql,
            sql_reads: breaker(),
            sql_writes: breaker(),
            cache: backends.cache,
            read_through: ReadThrough::new(settings.read_through.clone()),
            metadata: backends.metadata,
            metadata_calls: breaker(),
            queue: backends.queue,
            local_queue: backends.local_queue,
            queue_calls: breaker(),
            peers: Peers::new(name),
            ids: Ids::default(),
            passwords: Passwords::new(settings.password.clone()),
        }
    }

    /// Writes the gauges of the connections to servers.
    pub fn measure(&self) {
        self.sql.measure();
        let links = [self.cache.link(), self.metadata.link(), self.queue.link()];
        links.into_iter().flatten().for_each(|link| link.measure());
    }
}
