//! The edge of a node: its connections, and what is done for all of them.

use std::sync::Arc;
use std::time::Duration;

use backends::Queue;
use call::Connection;
use capabilities::Services;
use config::{GatewaySettings, ms};
use contract::queue::Entry;
use invoke::{Invoke, LoadError, Unfit};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use wire::push::{GROUP, Push};

use crate::hooks::Hooks;
use crate::outbox::{Close, code};
use crate::registry::Registry;
use crate::reports::Reports;
use crate::sockets::Sockets;

/// The edge of this node.
pub struct Gateway {
    pub(crate) services: Arc<Services>,
    pub(crate) invoke: Arc<Invoke>,
    pub(crate) hooks: Hooks,
    pub(crate) registry: Registry,
    pub(crate) reports: Reports,
    pub(crate) settings: GatewaySettings,
    /// How many frames of a client are read at once, where they can be served in a batch.
    pub(crate) batch_calls_max: usize,
    pub(crate) metrics: Metrics,
    pub(crate) operator_token: String,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) draining: watch::Receiver<bool>,
    /// Something may not have reached the connections of this node.
    missed: Notify,
}

/// The means to end a gateway.
pub struct Drain {
    start: watch::Sender<bool>,
}

pub(crate) struct Metrics {
    pub(crate) frames_in: metrics::Counter,
    pub(crate) frames_out: metrics::Counter,
    undecodable: metrics::Counter,
    deliveries: metrics::Counter,
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

impl Gateway {
    /// A gateway over the functions of its node. Fails when the manifest names methods that do not fit.
    pub fn new(
        services: Arc<Services>,
        invoke: Arc<Invoke>,
        settings: GatewaySettings,
        batch_calls_max: usize,
        operator_token: String,
    ) -> Result<(Arc<Self>, Drain), LoadError> {
        let (start, draining) = watch::channel(false);
        let gateway = Self {
            hooks: Hooks::new(invoke.clone(), &settings)?,
            registry: Registry::default(),
            reports: Reports::default(),
            metrics: Metrics {
                frames_in: metrics::counter!("mpim_gateway_frames_in_total"),
                frames_out: metrics::counter!("mpim_gateway_frames_out_total"),
                undecodable: metrics::counter!("mpim_gateway_undecodable_pushes_total"),
                deliveries: metrics::counter!("mpim_gateway_deliveries_total"),
            },
            sockets: Arc::new(Sockets::new(settings.connections_max)),
            services,
            invoke,
            settings,
            batch_calls_max,
            operator_token,
            draining,
            missed: Notify::new(),
        };
        Ok((Arc::new(gateway), Drain { start }))
    }

    /// Finds out whether remote functions take the calls of this node. Some that cannot be reached yet may
    /// come later.
    pub async fn probe(&self) -> Result<(), Unfit> {
        self.hooks.probe().await
    }

    /// Hands what is in the queues of this node to its connections, until dropped.
    pub async fn fan_out(&self) {
        match &self.services.local_queue {
            Some(local) => {
                tokio::join!(self.fan_out_of(local), self.fan_out_of(&self.services.queue));
            }
            None => self.fan_out_of(&self.services.queue).await,
        }
    }

    async fn fan_out_of(&self, queue: &Queue) {
        let topic = Push::topic(&self.services.name);
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
        self.hooks.sweep(node, &[]).await;
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
        match self.hooks.topics(connection).await {
            Ok(topics) => self.registry.subscribe_connection(connection.id, topics),
            Err(error) => tracing::warn!(error = error.message, "the topics of a connection are not known"),
        }
        self.registry.tell(connection.id, RESYNC);
    }

    fn push(&self, entry: &Entry) {
        match Push::decode(&entry.payload) {
            Ok(Push::Notification {
                to,
                method,
                body,
                trace,
            }) => {
                let delivered = self.registry.deliver(&to, &method, &body);
                if let Some(trace) = trace {
                    tracing::debug!(
                        trace,
                        method,
                        connections = delivered,
                        "a recorded notification is delivered"
                    );
                }
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
        let (ended, complete) = self.hooks.renewed(&connections).await;
        self.registry.close(&ended, &Close::new(code::KICKED, "session-ended"));
        // One that went while it was renewed has a lease again: it is told once more that it is gone.
        for gone in connections.extract_if(.., |connection| !self.registry.contains(connection.id)) {
            self.hooks.closed(&gone).await;
        }
        (connections, complete)
    }

    /// Reports which notifications sockets took, in batches, until dropped.
    pub async fn report_deliveries(&self) {
        loop {
            self.reports.some().await;
            tokio::time::sleep(ms(self.settings.delivered_every_ms)).await;
            self.hooks.delivered(&self.reports.take()).await;
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
