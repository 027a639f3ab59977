//! Nodes with functions and nodes without, on one database and one Redis.
//!
//! Each fleet has a database of its own and a Redis of its own.

use std::sync::Arc;

use crate::harness::node::Folder;
use crate::harness::platform::database;
use crate::harness::{Manifest, Node, http};
use servers::redis::Redis;

/// What the nodes share.
pub(super) struct Fleet {
    manifest: Manifest,
    mysql: String,
    redis: String,
    _redis: Redis,
}

/// The project's manifest, with leases of nodes that end soon.
pub(super) fn manifest() -> Manifest {
    Manifest::default()
        .set("component.send.tool.mpim.config.retry-after-ms", 1000)
        .set("application.tool.mpim.gateway.renew_every_ms", 1000)
        .set("application.tool.mpim.cluster.heartbeat_ms", 300)
        .set("application.tool.mpim.cluster.lease_ms", 1500)
        .set("application.tool.mpim.cluster.resync_spread_ms", 100)
}

impl Fleet {
    /// Servers, and no nodes yet.
    pub(super) fn new() -> Self {
        Self::with(manifest())
    }

    /// As [`Fleet::new`], for nodes with another manifest.
    pub(super) fn with(manifest: Manifest) -> Self {
        let redis = Redis::start();
        Self {
            manifest,
            mysql: database(),
            redis: redis.url(),
            _redis: redis,
        }
    }

    /// A node with all functions.
    pub(super) fn whole(&self) -> Node {
        Node::with_arguments(&self.manifest, Arc::new(Folder::new()), &self.arguments("whole"))
    }

    /// The same node again, where it was.
    pub(super) fn whole_again(&self, url: &str, folder: Arc<Folder>, more: &[&str]) -> Node {
        let arguments = [&self.arguments("whole")[..], more].concat();
        Node::at(url, &self.manifest, folder, &arguments)
    }

    /// A node without functions, that calls those of another, which knows of it: what is for everybody goes to the nodes
    /// that are known.
    pub(super) async fn edge(&self, whole: &Node) -> Node {
        let edge = self.edge_to(&whole.url, &whole.operator_token());
        http::until_metric(whole, "mpim_cluster_nodes", 2.0).await;
        edge
    }

    /// A node with some functions, by their names with commas between them, that calls the others of another node.
    pub(super) async fn some(&self, functions: &str, whole: &Node) -> Node {
        let (url, token) = (&whole.url, whole.operator_token());
        let remote = ["--functions", functions, "--remote", url, "--remote-token", &token];
        let arguments = [&self.arguments("some")[..], &remote].concat();
        let node = Node::try_with_arguments(&self.manifest, Arc::new(Folder::new()), &arguments)
            .unwrap_or_else(|log| panic!("the node did not start:\n{log}"));
        http::until_metric(whole, "mpim_cluster_nodes", 2.0).await;
        node
    }

    /// A node without functions, that calls those of a URL.
    pub(super) fn edge_to(&self, url: &str, token: &str) -> Node {
        self.try_edge(&["--remote", url, "--remote-token", token])
            .unwrap_or_else(|log| panic!("the node did not start:\n{log}"))
    }

    /// A node without functions; what it says when it does not start is the error.
    pub(super) fn try_edge(&self, more: &[&str]) -> Result<Node, String> {
        let arguments = [&self.arguments("edge")[..], &["--functions", "none"], more].concat();
        Node::try_with_arguments(&self.manifest, Arc::new(Folder::new()), &arguments)
    }

    fn arguments<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        vec!["--node", name, "--mysql", &self.mysql, "--redis", &self.redis]
    }
}
