//! Clusters whose nodes, servers and network fail in the middle of everything, and lose nothing.
//!
//! Each story is the same traffic with another disturbance. It prints one line in the end; `cargo xtask soak` tells
//! the stories again and again and adds the lines up.

mod crowd;
mod device;
mod moves;
mod network;
mod nodes;
mod servers;
mod socket;
mod story;
mod track;
mod traffic;
mod turns;
mod world;

use std::time::Duration;

use self::crowd::Crowd;
use self::nodes::{Cluster, Network, manifest};
use self::story::Story;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_and_never_comes_back_takes_nothing_with_it() {
    let mut story = Story::begin("node-killed", 3, Network::Plain).await;
    story.talks(400).await;
    let victim = story.pick(3);
    story.cluster.kill(victim);
    story.talks(600).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_are_killed_at_once_and_started_again() {
    let mut story = Story::begin("all-nodes-killed", 3, Network::Plain).await;
    story.talks(400).await;
    for index in 0..3 {
        story.cluster.kill(index);
    }
    story.cluster.restart_all().await;
    story.talks(400).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_told_to_end_and_started_again_one_by_one_under_load() {
    let mut story = Story::begin("rolling-restart", 3, Network::Plain).await;
    story.talks(200).await;
    for index in 0..3 {
        story.cluster.stop(index).await;
        story.talks(50).await;
        story.cluster.restart(index).await;
        story.talks(100).await;
    }
    story.talks(200).await;
    story.end().await;
}

/// A node is killed while nothing else happens: what it had committed and told nobody of must still reach everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_before_a_kill_are_heard_without_any_after_them() {
    let mut story = Story::begin("last-words", 3, Network::Plain).await;
    story.talks(400).await;
    story.falls_silent();
    let victim = story.pick(3);
    story.cluster.kill(victim);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_come_back_at_once_to_a_node_that_was_restarted() {
    const SIZE: usize = 1000;
    let seed = story::seed("thousand-clients");
    let mut cluster = Cluster::start(2, Network::Plain, &manifest()).await;
    let mut crowd = Crowd::gather(cluster.any(), SIZE).await;
    crowd.storm(&cluster.node(0).url).await;
    crowd.cry(&cluster.node(1).url).await;
    assert_eq!(crowd.hears(1).await, 0, "those who lack what was pushed to them");
    cluster.kill(0);
    crowd.cry(&cluster.node(1).url).await;
    cluster.restart(0).await;
    let slowest: Duration = crowd.storm(&cluster.node(0).url).await;
    let pulled = crowd.hears(2).await;
    crowd.cry(&cluster.node(1).url).await;
    let pushed = crowd.hears(3).await;
    let tally = crowd.tally();
    println!(
        "story=thousand-clients seed={seed} accepted={} delivered={} duplicates_on_wire={} duplicates_shown={} \
         out_of_order={} lost={} longest_gap_ms={} turned_away={}",
        3 * SIZE,
        tally.delivered,
        tally.repeats,
        tally.shown_twice,
        tally.out_of_order,
        tally.lost,
        slowest.as_millis(),
        crowd.turned_away
    );
    assert_eq!(
        (pulled, pushed),
        (0, 0),
        "those who lack what was kept, and what was pushed, after their return"
    );
    let wrong = [tally.lost, tally.out_of_order, tally.shown_twice];
    assert_eq!(wrong, [0; 3], "lost, out of order, shown twice: {tally:?}");
}
