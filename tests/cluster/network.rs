//! Stories of a network that cuts connections, or parts nodes from one server and not from the other.

use std::time::Duration;

use super::nodes::{Network, Wires};
use super::story::Story;
use servers::proxy::Proxy;

/// How long a partition lasts.
const PARTITION: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_both_servers_are_cut_at_random() {
    let mut story = Story::begin("cut-at-random", 3, Network::Proxied).await;
    story.talks(300).await;
    let seeds = [story.next_seed(), story.next_seed()];
    for wires in story.cluster.all_wires() {
        wires.redis.cut_at_random(seeds[0], 0.002);
        wires.mysql.cut_at_random(seeds[1], 0.002);
    }
    story.talks(600).await;
    story.cluster.all_wires().for_each(heal);
    let cuts: u64 = story
        .cluster
        .all_wires()
        .map(|wires| wires.redis.cuts() + wires.mysql.cuts())
        .sum();
    assert!(cuts > 10, "only {cuts} connections were cut");
    story.talks(300).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_are_parted_from_redis_and_not_from_the_database() {
    parted("parted-from-redis", |wires| &wires.redis).await;
}

/// What a node that is parted accepts is the last that is said: the others are told of it, for nobody finds it by a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_at_a_node_parted_from_redis_are_heard_without_any_after_them() {
    let mut story = Story::begin("parted-last-words", 3, Network::Proxied).await;
    story.talks(300).await;
    story.cluster.wires(0).redis.partition();
    story.talks(60).await;
    story.speaks_its_last().await;
    story.cluster.all_wires().for_each(heal);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_are_parted_from_the_database_and_not_from_redis() {
    parted("parted-from-mysql", |wires| &wires.mysql).await;
}

async fn parted(name: &'static str, from: fn(&Wires) -> &Proxy) {
    let mut story = Story::begin(name, 3, Network::Proxied).await;
    story.talks(300).await;
    for index in [0, 1] {
        from(story.cluster.wires(index)).partition();
    }
    story.lasts(PARTITION).await;
    story.cluster.all_wires().for_each(heal);
    story.talks(400).await;
    story.end().await;
}

fn heal(wires: &Wires) {
    wires.redis.heal();
    wires.mysql.heal();
}
