//! A cluster: private servers, nodes on them, a network between the two, and the ways in which all of it fails.
//!
//! The servers of one story are those of the next: MariaDB is started once, and each story has a database of its own
//! and a Redis of its own. Stories are told one after the other, for each wants the whole machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use super::traffic::THRESHOLD;
use super::world::Addresses;
use crate::harness::node::Folder;
use crate::harness::{Manifest, Node};
use servers::mariadb::Mariadb;
use servers::proxy::Proxy;
use servers::redis::Redis;

/// What outlives a story.
#[derive(Default)]
struct Shared {
    mariadb: Option<Mariadb>,
    /// Whether a story ended, perhaps early, with the server killed or frozen.
    hurt: bool,
}

static SHARED: Mutex<Shared> = Mutex::const_new(Shared {
    mariadb: None,
    hurt: false,
});

/// Servers and nodes.
pub(super) struct Cluster {
    // In the order in which they end.
    seats: Vec<Seat>,
    /// The Redis of this story.
    pub(super) redis: Redis,
    shared: MutexGuard<'static, Shared>,
    addresses: Addresses,
}

/// The place of a node, taken or not.
struct Seat {
    name: String,
    manifest: Manifest,
    folder: Arc<Folder>,
    urls: [String; 2],
    wires: Option<Wires>,
    node: Option<Node>,
}

/// The network between a node and its servers.
pub(super) struct Wires {
    pub(super) redis: Proxy,
    pub(super) mysql: Proxy,
}

/// How the nodes reach the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Straight.
    Plain,
    /// Each through proxies of its own.
    Proxied,
}

/// The project's manifest with groups that need few members to be large, and with repeats that come soon.
pub(super) fn manifest() -> Manifest {
    Manifest::default()
        .set("component.send.tool.mpim.config.fan-out-threshold", THRESHOLD)
        .set("component.groups.tool.mpim.config.fan-out-threshold", THRESHOLD)
        .set("component.send.tool.mpim.config.retry-after-ms", 1000)
        .set("application.tool.mpim.gateway.renew_every_ms", 1000)
        .set("application.tool.mpim.cluster.heartbeat_ms", 300)
        .set("application.tool.mpim.cluster.lease_ms", 1500)
        .set("application.tool.mpim.cluster.resync_spread_ms", 500)
}

impl Cluster {
    /// Starts so many nodes on servers of their own. Waits for the story before to end.
    pub(super) async fn start(count: usize, network: Network, manifest: &Manifest) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut shared = SHARED.lock().await;
        let (mysql, redis) = tokio::task::block_in_place(|| {
            let mysql = shared.awake(&format!("story{}", NEXT.fetch_add(1, Ordering::Relaxed)));
            (mysql, Redis::start())
        });
        let seat = |index: usize| Seat::new(index, network, manifest.clone(), &redis.url(), &mysql);
        let mut cluster = Self {
            seats: (0..count).map(seat).collect(),
            redis,
            shared,
            addresses: Addresses::default(),
        };
        // The first one makes the tables.
        cluster.restart(0).await;
        cluster.restart_all().await;
        cluster
    }

    /// Where the nodes are.
    pub(super) fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// One of the nodes that are there.
    pub(super) fn any(&self) -> &Node {
        self.nodes().next().expect("a node")
    }

    /// The nodes that are there.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.seats.iter().filter_map(|seat| seat.node.as_ref())
    }

    /// A node that is there.
    pub(super) fn node(&self, index: usize) -> &Node {
        self.seats[index].node.as_ref().expect("it runs")
    }

    /// The network of a node, in a cluster with [`Network::Proxied`].
    pub(super) fn wires(&self, index: usize) -> &Wires {
        self.seats[index].wires.as_ref().expect("there are proxies")
    }

    /// The networks of all nodes.
    pub(super) fn all_wires(&self) -> impl Iterator<Item = &Wires> {
        self.seats.iter().filter_map(|seat| seat.wires.as_ref())
    }

    /// The server of the database.
    pub(super) fn mariadb(&mut self) -> &mut Mariadb {
        self.shared.hurt = true;
        self.shared.mariadb.as_mut().expect("started")
    }

    /// The server of the database is as it was.
    pub(super) fn mariadb_is_well(&mut self) {
        self.shared.hurt = false;
    }

    /// The end of a node, without warning: `kill -9`.
    pub(super) fn kill(&mut self, index: usize) {
        self.addresses.remove(index);
        self.seats[index].node.take().expect("it runs").kill();
    }

    /// Asks a node to end, and waits until it has.
    pub(super) async fn stop(&mut self, index: usize) {
        self.addresses.remove(index);
        let node = self.seats[index].node.take().expect("it runs");
        let code = tokio::task::spawn_blocking(move || node.stop()).await.expect("stopped");
        assert_eq!(code, Some(0), "the exit code of node {index}");
    }

    /// Starts a node where it was, with the manifest that it had unless there is another one.
    pub(super) async fn restart(&mut self, index: usize) {
        let node = tokio::task::spawn_blocking(self.seats[index].starting()).await;
        self.seated(index, node.expect("a node starts"));
    }

    /// Starts all nodes that are not there, at once.
    pub(super) async fn restart_all(&mut self) {
        let mut starting = JoinSet::new();
        for (index, seat) in self.seats.iter().enumerate().filter(|(_, seat)| seat.node.is_none()) {
            let start = seat.starting();
            starting.spawn_blocking(move || (index, start()));
        }
        while let Some(started) = starting.join_next().await {
            let (index, node) = started.expect("a node starts");
            self.seated(index, node);
        }
    }

    /// The manifest with which a node starts the next time.
    pub(super) fn configure(&mut self, index: usize, manifest: Manifest) {
        self.seats[index].manifest = manifest;
    }

    fn seated(&mut self, index: usize, node: Node) {
        self.addresses.add(index, &node.url);
        self.seats[index].node = Some(node);
    }
}

impl Shared {
    /// Gives the URL of a database on a server that is well.
    fn awake(&mut self, database: &str) -> String {
        if self.hurt
            && let Some(mariadb) = &mut self.mariadb
        {
            mariadb.kill();
            mariadb.run();
        }
        self.hurt = false;
        self.mariadb.get_or_insert_with(Mariadb::start).url(database)
    }
}

impl Seat {
    fn new(index: usize, network: Network, manifest: Manifest, redis: &str, mysql: &str) -> Self {
        let (redis, mysql, wires) = match network {
            Network::Plain => (redis.to_owned(), mysql.to_owned(), None),
            Network::Proxied => {
                let (redis, to_redis) = through(redis);
                let (mysql, to_mysql) = through(mysql);
                let wires = Wires {
                    redis: to_redis,
                    mysql: to_mysql,
                };
                (redis, mysql, Some(wires))
            }
        };
        Self {
            name: format!("node-{index}"),
            manifest,
            folder: Arc::new(Folder::new()),
            urls: [mysql, redis],
            wires,
            node: None,
        }
    }

    /// What starts the node.
    fn starting(&self) -> impl FnOnce() -> Node + Send + 'static {
        let (name, manifest, folder) = (self.name.clone(), self.manifest.clone(), self.folder.clone());
        let [mysql, redis] = self.urls.clone();
        move || {
            let arguments = ["--node", &name, "--mysql", &mysql, "--redis", &redis];
            Node::with_arguments(&manifest, folder, &arguments)
        }
    }
}

/// A proxy in front of the server of a URL, and the URL that leads through it.
fn through(url: &str) -> (String, Proxy) {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let authority = rest.split('/').next().expect("a server");
    let server = authority.rsplit('@').next().expect("a server");
    let server: SocketAddr = server.parse().expect("an address");
    let proxy = Proxy::to(server).expect("a proxy");
    let rest = rest.replacen(&server.to_string(), &proxy.address().to_string(), 1);
    (format!("{scheme}://{rest}"), proxy)
}
