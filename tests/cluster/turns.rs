//! What one node at a time has or does, and what becomes of it when that node leaves or dies: a name, timers, the
//! queue and the routes of its clients.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::nodes::{Cluster, Network};
use crate::harness::node::Folder;
use crate::harness::{Client, Manifest, Node, http, within};
use servers::redis::Redis;

/// For how long a node is watched that must not do anything: fifty rounds of the timer.
const WATCHED: Duration = Duration::from_secs(1);

fn manifest(lease_ms: i64) -> Manifest {
    Manifest::default()
        .set("application.tool.mpim.cluster.heartbeat_ms", 200)
        .set("application.tool.mpim.cluster.lease_ms", lease_ms)
}

fn start(manifest: &Manifest, redis: &Redis, name: &str) -> Result<Node, String> {
    let arguments = ["--redis", &redis.url(), "--node", name];
    Node::try_with_arguments(manifest, Arc::new(Folder::new()), &arguments)
}

#[test]
fn a_name_is_one_nodes_and_free_when_it_has_left() {
    let redis = Redis::start();
    let holder = start(&manifest(600_000), &redis, "one").expect("started");
    let hasty = manifest(400);
    let refused = start(&hasty, &redis, "one").map(|_| ()).expect_err("taken");
    assert!(
        refused.contains("another node of the cluster has the name one"),
        "{refused}"
    );
    assert_eq!(holder.stop(), Some(0));
    let heir = start(&hasty, &redis, "one").expect("free");
    assert_eq!(heir.stop(), Some(0));
}

/// How often a node has read from its store: what the timer does here.
async fn reads(node: &Node) -> f64 {
    let token = node.operator_token();
    let metrics = http::get(node, "/admin/metrics", Some(&token)).await.text;
    let count = metrics.lines().find_map(|line| line.strip_prefix(READS));
    count.map_or(0.0, |count| count.trim().parse().expect("a number"))
}

const READS: &str = "mpim_sql_read_seconds_count{backend=\"sqlite\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_runs_on_one_node_and_on_another_when_that_one_dies() {
    let redis = Redis::start();
    let timer = toml::toml! {
        call = "send.retry-pending"
        every_ms = 20
    };
    let manifest = manifest(800).set("application.tool.mpim.timer", vec![toml::Value::Table(timer)]);
    let one = start(&manifest, &redis, "one").expect("started");
    http::until_metric(&one, READS, 20.0).await;
    let other = start(&manifest, &redis, "other").expect("started");
    let before = reads(&other).await;
    tokio::time::sleep(WATCHED).await;
    let more = reads(&other).await - before;
    assert!(more < 10.0, "it runs on both: {more} reads");
    one.kill();
    http::until_metric(&other, READS, before + 30.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_and_the_routes_of_a_dead_node_are_seen_to_by_another() {
    let mut cluster = Cluster::start(2, Network::Plain, &super::nodes::manifest()).await;
    let mut ann = Client::register(cluster.node(0), "ann").await;
    let bob = Client::register(cluster.node(1), "bob").await;
    let has_routes = |cluster: &Cluster| {
        let keys = cluster.redis.ask(&["KEYS", "*node-routes/node-1"]).expect("the keys");
        !keys.trim().is_empty()
    };
    assert!(has_routes(&cluster));
    cluster.kill(1);
    // As far as anybody knows bob is still there, and what is for bob goes into the queue of that node.
    let params = json!({ "to": bob.user, "client_id": "1", "content": "hello" });
    ann.call("send.send-message", params).await.expect("accepted");
    http::until_metric(cluster.node(0), "mpim_cluster_taken_over_total", 1.0).await;
    within("the end of the routes", async {
        while has_routes(&cluster) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn clients_catch_up_when_the_lease_of_their_node_was_lost_and_when_it_is_said_to_be_behind() {
    let redis = Redis::start();
    let manifest = manifest(600_000).set("application.tool.mpim.cluster.resync_spread_ms", 10);
    let node = start(&manifest, &redis, "one").expect("started");
    let mut ann = Client::register(&node, "ann").await;
    let set = |name: &str| format!("mpim:metadata:set:/cluster/{name}");
    let removed = redis.ask(&["ZREM", &set("alive"), "one"]).expect("an answer");
    assert_eq!(removed, "1");
    ann.notified("connection.resync").await;
    let far = "99999999999999";
    let added = redis.ask(&["ZADD", &set("behind"), far, "one"]).expect("an answer");
    assert_eq!(added, "1");
    ann.notified("connection.resync").await;
}
