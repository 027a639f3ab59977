//! Stories of a cluster that is not disturbed, but moved; and of a performance that is.

use serde_json::Value;

use super::nodes::{Cluster, Network, manifest};
use super::story::{self, Story};
use crate::harness::node::{Folder, mpim};
use crate::harness::{Manifest, http};
use crate::replay::{invent, run};

/// The queues of a cluster go from Pub/Sub to streams: a while both are written, and each node is restarted once for
/// each step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_move_from_pubsub_to_streams_under_load() {
    let steps = [
        ("pubsub", ["pubsub"].as_slice()),
        ("pubsub", &["pubsub", "streams"]),
        ("streams", &["pubsub", "streams"]),
        ("streams", &["streams"]),
    ];
    let [first, rest @ ..] = steps.map(|(read, write)| queues(read, write));
    let mut story = Story::with("queue-migration", 2, Network::Plain, &first).await;
    story.talks(200).await;
    for manifest in rest {
        for index in [0, 1] {
            story.cluster.stop(index).await;
            story.cluster.configure(index, manifest.clone());
            story.cluster.restart(index).await;
            story.talks(60).await;
        }
    }
    story.talks(200).await;
    story.end().await;
}

fn queues(read: &str, write: &[&str]) -> Manifest {
    manifest()
        .set("application.tool.mpim.redis.queue.read", read)
        .set("application.tool.mpim.redis.queue.write", write.to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_over_three_nodes_is_whole_when_one_of_them_is_killed() {
    let seed = story::seed("replay");
    let folder = Folder::new();
    let file = folder.path().join("lines.jsonl");
    invent(&file, 400, 60);
    // Of its groups the one of all is large.
    let manifest = manifest()
        .set("component.send.tool.mpim.config.fan-out-threshold", 55)
        .set("component.groups.tool.mpim.config.fan-out-threshold", 55);
    let mut cluster = Cluster::start(3, Network::Plain, &manifest).await;
    let mut command = mpim();
    command
        .arg("replay")
        .arg(&file)
        .args(["--json", "--drop", "0.02", "--patience", "60"]);
    command.args(["--seed", &seed.to_string()]);
    for node in cluster.nodes() {
        command.args(["--url", &node.url]);
    }
    let disturbance = async {
        // Of about 10,000 frames that it would write.
        http::until_metric(cluster.node(1), "mpim_gateway_frames_out_total", 2_500.0).await;
        cluster.kill(1);
    };
    let ((out, code), ()) = tokio::join!(run(&mut command), disturbance);
    assert_eq!(code, Some(0), "{out}");
    let report: Value = serde_json::from_str(&out).expect("one JSON object");
    let count = |key: &str| {
        report[key]
            .as_u64()
            .unwrap_or_else(|| panic!("{key} is missing: {report}"))
    };
    // What is shown twice, out of its order or not at all is a difference.
    println!(
        "story=replay seed={seed} accepted={} delivered={} duplicates_on_wire={} differences={} lost={} \
         longest_gap_ms={} turned_away={}",
        count("messages"),
        count("deliveries"),
        count("repeats"),
        count("differences"),
        count("deliveries_expected").saturating_sub(count("deliveries")),
        report["latency_max_ms"].as_f64().unwrap_or_default().round(),
        count("turned_away")
    );
    assert_eq!(count("differences"), 0, "{report}");
    assert_eq!(count("deliveries"), count("deliveries_expected"), "{report}");
    assert!(
        count("losses") >= 15,
        "a third of the speakers lost their connections: {report}"
    );
}
