//! The edge: sockets of clients, and HTTP.
//!
//! It turns frames into invokes and pushes into frames, and owns every live connection of the node. It
//! knows functions by the names that clients give and by the few lifecycle calls that the manifest
//! names; it never names a backend.

mod calls;
mod error;
mod functions;
mod gathering;
mod http;
mod lifecycle;
mod outbox;
mod records;
mod registry;
mod rpc;
mod socket;
mod together;
mod written;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use self::lifecycle::Lifecycle;
use self::outbox::{Close, code};
use self::registry::Registry;
use self::together::Together;
use self::written::Written;
use crate::capabilities::Node;
use crate::config::{GatewaySettings, ms};
use crate::deployments::LoadError;
use crate::identity::Connection;
use backends::Queue;
use contract::queue::Entry;
use wire::push::Push;

pub use self::functions::{Functions, Unfit};

/// The edge of this node.
pub struct Gateway {
    node: Arc<Node>,
    functions: Arc<Functions>,
    lifecycle: Lifecycle,
    together: Together,
    registry: Registry,
    written: Written,
    settings: GatewaySettings,
    metrics: Metrics,
    operator_token: String,
    sockets: Arc<Sockets>,
    draining: watch::Receiver<bool>,
    /// Something may not have reached the connections of this node.
    missed: Notify,
}

/// The means to end a gateway.
pub struct Drain {
    start: watch::Sender<bool>,
}

struct Metrics {
    frames_in: metrics::Counter,
    frames_out: metrics::Counter,
    undecodable: metrics::Counter,
    deliveries: metrics::Counter,
}

/// How many sockets there are.
#[derive(Default)]
struct Sockets {
    count: AtomicUsize,
    closed: Notify,
}

impl Sockets {
    /// Waits until there is none.
    async fn none(&self) {
        loop {
            let closed = self.closed.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// Counts a socket for as long as it is there.
struct Guard(Arc<Sockets>);

impl Guard {
    /// None when there are too many sockets.
    fn enter(gateway: &Gateway) -> Option<Self> {
        let before = gateway.sockets.count.fetch_add(1, Ordering::AcqRel);
        let guard = Self(gateway.sockets.clone());
        metrics::gauge!("mpim_gateway_sockets").increment(1.0);
        (before < gateway.settings.connections_max).then_some(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.closed.notify_waiters();
        metrics::gauge!("mpim_gateway_sockets").decrement(1.0);
    }
}

/// How many pushes are taken from the queue at once.
const PUSHES_AT_ONCE: u32 = 256;
/// How long a queue that cannot be read is left alone.
const QUEUE_PAUSE: Duration = Duration::from_millis(200);
/// How long one wait for pushes lasts; the queue wakes it earlier.
const PUSH_WAIT_MS: u32 = 1_000;
/// How long leases that could not be renewed are left alone.
const RENEWAL_PAUSE: Duration = Duration::from_millis(500);
/// How many connections are told to catch up before a pause.
const CATCH_UP_AT_ONCE: usize = 100;
/// For how many of them the topics are asked for at once.
const RESYNCS_ABREAST: usize = 8;
/// What the clients of a node are told when they may have missed something.
const RESYNC: &str = "connection.resync";
/// The consumer group of a gateway at the queue of its node.
pub(crate) const GROUP: &str = "gateway";

impl Gateway {
    /// A gateway over the functions of its node. Fails when the manifest names methods that do not fit.
    pub fn new(
        node: Arc<Node>,
        functions: Arc<Functions>,
        settings: GatewaySettings,
        operator_token: String,
    ) -> Result<(Arc<Self>, Drain), LoadError> {
        let (start, draining) = watch::channel(false);
        let together = Together::new(&functions, &settings)?;
        let gateway = Self {
            lifecycle: Lifecycle::new(functions.clone(), &together, &settings)?,
            together,
            registry: Registry::default(),
            written: Written::default(),
            metrics: Metrics {
                frames_in: metrics::counter!("mpim_gateway_frames_in_total"),
                frames_out: metrics::counter!("mpim_gateway_frames_out_total"),
                undecodable: metrics::counter!("mpim_gateway_undecodable_pushes_total"),
                deliveries: metrics::counter!("mpim_gateway_deliveries_total"),
            },
            sockets: Arc::default(),
            node,
            functions,
            settings,
            operator_token,
            draining,
            missed: Notify::new(),
        };
        Ok((Arc::new(gateway), Drain { start }))
    }

    /// Finds out whether functions that run elsewhere take the calls of this node. Some that cannot be reached yet may
    /// come later.
    pub async fn probe(&self) -> Result<(), Unfit> {
        self.lifecycle.probe().await
    }

    /// Serves until draining begins; then takes no more connections. Sockets that are open go on.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        self.lifecycle.sweep(&self.node.name, &[]).await;
        let mut draining = self.draining.clone();
        let router = http::router(self);
        http::serve(listener, router, async move {
            // An error means that nobody can start draining any more: the process ends.
            let _ = draining.wait_for(|draining| *draining).await;
        })
        .await
    }

    /// Hands what is in the queues of this node to its connections, until dropped.
    pub async fn fan_out(&self) {
        match &self.node.near {
            Some(near) => {
                tokio::join!(self.fan_out_of(near), self.fan_out_of(&self.node.queue));
            }
            None => self.fan_out_of(&self.node.queue).await,
        }
    }

    async fn fan_out_of(&self, queue: &Queue) {
        let topic = Push::topic(&self.node.name);
        let mut failing = false;
        loop {
            match queue.receive(&topic, GROUP, PUSHES_AT_ONCE, PUSH_WAIT_MS).await {
                Ok(entries) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the queue of this node can be read again");
                        self.note_missed();
                    }
                    let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
                    entries.iter().for_each(|entry| self.push(entry));
                    if ids.is_empty() {
                        continue;
                    }
                    if let Err(error) = queue.ack(&topic, GROUP, &ids).await {
                        tracing::warn!(%error, "pushes were not acknowledged and may come again");
                    }
                }
                Err(error) => {
                    metrics::counter!("mpim_gateway_unread_queue_total").increment(1);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "the queue of this node cannot be read");
                    }
                    tokio::time::sleep(QUEUE_PAUSE).await;
                }
            }
        }
    }

    /// The connections of this node may have missed something: they are told to catch up, soon.
    pub fn note_missed(&self) {
        self.missed.notify_one();
    }

    /// Ends the routes to a node that is dead.
    pub async fn sweep(&self, node: &str) {
        self.lifecycle.sweep(node, &[]).await;
    }

    /// Tells clients to catch up whenever they may have missed something, once everybody knows again where they are;
    /// spread over some time, so that they do not all come at once. Until dropped.
    pub async fn catch_up(&self, spread: Duration) {
        loop {
            self.missed.notified().await;
            let connections = loop {
                let (connections, complete) = self.renew_once().await;
                if complete {
                    break connections;
                }
                tokio::time::sleep(RENEWAL_PAUSE).await;
            };
            metrics::counter!("mpim_gateway_resyncs_total").increment(1);
            let chunks = connections.chunks(CATCH_UP_AT_ONCE);
            let pause = spread / u32::try_from(chunks.len().max(1)).unwrap_or(u32::MAX);
            for chunk in chunks {
                for some in chunk.chunks(RESYNCS_ABREAST) {
                    futures_util::future::join_all(some.iter().map(|connection| self.resync(connection))).await;
                }
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn resync(&self, connection: &Arc<Connection>) {
        match self.lifecycle.topics(connection).await {
            Ok(topics) => self.registry.subscribe_connection(connection.id, topics),
            Err(error) => tracing::warn!(error = error.message, "the topics of a connection are not known"),
        }
        self.registry.tell(connection.id, RESYNC);
    }

    fn push(&self, entry: &Entry) {
        match Push::decode(&entry.payload) {
            Ok(Push::Notification { to, method, body }) => {
                let delivered = self.registry.deliver(&to, &method, &body);
                self.metrics
                    .deliveries
                    .increment(u64::try_from(delivered).unwrap_or(u64::MAX));
            }
            Ok(Push::Subscribe { users, topic }) => self.registry.subscribe(&users, &topic),
            Ok(Push::Unsubscribe { users, topic }) => self.registry.unsubscribe(&users, &topic),
            Err(error) => {
                self.metrics.undecodable.increment(1);
                tracing::error!(%error, id = entry.id, "a push cannot be read and is set aside");
            }
        }
    }

    /// Renews the leases of all connections again and again, until dropped.
    pub async fn renew(&self) {
        loop {
            tokio::time::sleep(ms(self.settings.renew_every_ms)).await;
            let (_, complete) = self.renew_once().await;
            if !complete {
                // Leases may end before they can be renewed, and what is published then passes this node by.
                self.note_missed();
            }
        }
    }

    /// Renews the leases of all connections. Gives those that live, and whether all could be renewed.
    async fn renew_once(&self) -> (Vec<Arc<Connection>>, bool) {
        let mut connections = self.registry.all();
        let (ended, complete) = self.lifecycle.renewed(&connections).await;
        self.registry.close(&ended, &Close::new(code::KICKED, "session-ended"));
        // One that went while it was renewed has a lease again: it is told once more that it is gone.
        for gone in connections.extract_if(.., |connection| !self.registry.contains(connection.id)) {
            self.lifecycle.closed(&gone).await;
        }
        (connections, complete)
    }

    /// Reports which notifications sockets took, in batches, until dropped.
    pub async fn report_written(&self) {
        loop {
            self.written.some().await;
            tokio::time::sleep(ms(self.settings.written_every_ms)).await;
            self.lifecycle.written(&self.written.take()).await;
        }
    }
}

impl Drain {
    /// Closes every connection with a reason, after the call that it is in, and waits for them, and for `serving`,
    /// which ends once every request was answered.
    pub async fn drain<T>(self, gateway: &Gateway, serving: impl Future<Output = T>) {
        let within = ms(gateway.settings.drain_within_ms);
        let registered = gateway.registry.all().len();
        tracing::info!(connections = registered, "draining");
        // Nobody listens when no socket was ever opened.
        let _ = self.start.send(true);
        let ended = async { tokio::join!(gateway.sockets.none(), serving) };
        if timeout(within, ended).await.is_err() {
            tracing::warn!("some connections did not drain in time");
        }
    }
}
