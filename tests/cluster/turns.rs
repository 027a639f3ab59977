//! What one node at a time has or does, and what becomes of it when that node leaves or dies: a name, and timers.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::node::Folder;
use crate::harness::{Manifest, Node, http};
use crate::servers::redis::Redis;

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

/// Whether a function was called on a node where nobody but a timer calls it.
async fn was_called(node: &Node) -> bool {
    let token = node.operator_token();
    let metrics = http::get(node, "/admin/metrics", Some(&token)).await.text;
    let count = metrics.lines().find_map(|line| line.strip_prefix(CALLED));
    count.is_some_and(|count| count.trim() != "0")
}

const CALLED: &str = "mpim_sandboxes_created_total{function=\"send\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_runs_on_one_node_and_on_another_when_that_one_dies() {
    let redis = Redis::start();
    let timer = toml::toml! {
        call = "send.retry-pending"
        every_ms = 20
    };
    let manifest = manifest(800).set("application.tool.mpim.timer", vec![toml::Value::Table(timer)]);
    let one = start(&manifest, &redis, "one").expect("started");
    http::until_metric(&one, CALLED, 1.0).await;
    let other = start(&manifest, &redis, "other").expect("started");
    tokio::time::sleep(WATCHED).await;
    assert!(!was_called(&other).await, "it runs on both");
    one.kill();
    http::until_metric(&other, CALLED, 1.0).await;
}
