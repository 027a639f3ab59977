//! Stories of servers that die, come back empty, or stop answering.

use std::time::Duration;

use super::nodes::Network;
use super::story::Story;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_killed_and_comes_back_empty() {
    let mut story = Story::begin("redis-emptied", 3, Network::Plain).await;
    story.talks(400).await;
    story.cluster.redis.kill();
    story.lasts(Duration::from_millis(500)).await;
    story.cluster.redis.restart();
    story.talks(400).await;
    story.end().await;
}

/// What was said while Redis was away is the last that is said: nobody finds it by a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_while_redis_is_away_are_heard_without_any_after_them() {
    let mut story = Story::begin("redis-last-words", 3, Network::Plain).await;
    story.talks(400).await;
    story.cluster.redis.kill();
    story.lasts(Duration::from_millis(500)).await;
    story.speaks_its_last().await;
    story.cluster.redis.restart();
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_stops_answering_for_ten_seconds() {
    let mut story = Story::begin("redis-frozen", 3, Network::Plain).await;
    story.talks(400).await;
    story.cluster.redis.freeze();
    story.lasts(Duration::from_secs(10)).await;
    story.cluster.redis.thaw();
    story.talks(400).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_is_killed_and_started_again() {
    let mut story = Story::begin("mariadb-killed", 3, Network::Plain).await;
    story.talks(400).await;
    tokio::task::block_in_place(|| {
        let mariadb = story.cluster.mariadb();
        mariadb.kill();
        mariadb.run();
    });
    story.cluster.mariadb_is_well();
    story.talks(400).await;
    story.end().await;
}
