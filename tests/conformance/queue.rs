//! What a queue promises.
//!
//! A case opens as many nodes as it needs; in memory they are all the same one. Each node that will receive begins with
//! an empty `receive`, because Pub/Sub hears nothing before.

mod bounds;
mod ends;
mod order;

use std::sync::{Arc, Mutex};

use backends::{Queue, memory, redis};
use config::{MemoryQueueSettings, RedisQueueSettings, RedisServerSettings, RedisWay};
use contract::queue::{Entry, Priority};

use self::{bounds::*, ends::*, order::*};
use crate::shared::{self, soon};

/// Longer than anything is late.
const WAIT_MS: u32 = 20_000;

/// The bounds that cases change.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub per_topic_max: usize,
    pub groups_max: usize,
    pub redeliver_after_ms: u64,
    pub retain_ms: u64,
    pub group_idle_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            per_topic_max: 1_000,
            groups_max: 8,
            redeliver_after_ms: 60_000,
            retain_ms: 60_000,
            group_idle_ms: 600_000,
        }
    }
}

/// A kind of queue, and where its nodes meet.
pub struct Backend {
    server: Option<(RedisServerSettings, RedisWay)>,
    memory: Mutex<Option<Arc<Queue>>>,
}

impl Backend {
    fn memory() -> Self {
        Self {
            server: None,
            memory: Mutex::default(),
        }
    }

    fn redis(server: RedisServerSettings, way: RedisWay) -> Self {
        Self {
            server: Some((server, way)),
            memory: Mutex::default(),
        }
    }

    /// A node of the cluster.
    fn node(&self, name: &str, bounds: &Bounds) -> Arc<Queue> {
        let Some((server, way)) = &self.server else {
            let mut memory = self.memory.lock().expect("a lock");
            let made = || Arc::new(Queue::Memory(memory::Queue::new(&in_memory(bounds))));
            return Arc::clone(memory.get_or_insert_with(made));
        };
        let settings = in_redis(server, bounds, *way, &[*way]);
        Arc::new(Queue::Redis(Box::new(
            redis::Queue::new(&settings, name).expect("a queue"),
        )))
    }

    fn one(&self) -> Arc<Queue> {
        self.node("one", &Bounds::default())
    }
}

fn in_memory(bounds: &Bounds) -> MemoryQueueSettings {
    MemoryQueueSettings {
        per_topic_max: bounds.per_topic_max,
        groups_max: bounds.groups_max,
        redeliver_after_ms: bounds.redeliver_after_ms,
        retain_ms: bounds.retain_ms,
        group_idle_ms: bounds.group_idle_ms,
        payload_bytes_max: 4096,
        ..Default::default()
    }
}

/// The settings of a node in Redis.
pub fn in_redis(
    server: &RedisServerSettings,
    bounds: &Bounds,
    read: RedisWay,
    write: &[RedisWay],
) -> RedisQueueSettings {
    RedisQueueSettings {
        server: server.clone(),
        read,
        write: write.to_vec(),
        per_topic_max: bounds.per_topic_max,
        groups_max: bounds.groups_max,
        redeliver_after_ms: bounds.redeliver_after_ms,
        retain_ms: bounds.retain_ms,
        group_idle_ms: bounds.group_idle_ms,
        payload_bytes_max: 4096,
        ..Default::default()
    }
}

macro_rules! on_backend {
    ($backend:ident, $made:expr, [$($case:ident),* $(,)?]) => {
        mod $backend {
            use super::*;
            $(
                #[test]
                fn $case() {
                    shared::run(async { super::$case(&$made).await });
                }
            )*
        }
    };
}

macro_rules! on_every_backend {
    ([$($heard:ident),* $(,)?] and where entries are kept [$($kept:ident),* $(,)?]) => {
        on_backend!(embedded, Backend::memory(), [$($heard,)* $($kept),*]);
        on_backend!(streams, Backend::redis(shared::single_settings(), RedisWay::Streams), [$($heard,)* $($kept),*]);
        on_backend!(streams_cluster, Backend::redis(shared::cluster_settings(), RedisWay::Streams), [$($heard,)* $($kept),*]);
        on_backend!(pubsub, Backend::redis(shared::single_settings(), RedisWay::PubSub), [$($heard),*]);
        on_backend!(pubsub_cluster, Backend::redis(shared::cluster_settings(), RedisWay::PubSub), [$($heard),*]);
    };
}

on_every_backend!([
    entries_of_a_lane_come_in_order,
    ids_grow_over_all_lanes,
    the_urgent_overtake,
    the_low_are_not_starved,
    the_low_are_not_starved_in_one_receive_after_another,
    a_receiver_has_at_most_what_it_asks_for,
    a_waiting_receiver_wakes_at_once,
    a_wait_ends_without_an_entry,
    two_receivers_share_no_open_entry,
    each_group_has_every_entry,
    ends_are_counted_once,
    what_is_not_ended_is_given_again,
    an_end_that_comes_late_counts,
    a_large_payload_is_invalid,
    any_bytes_are_a_payload,
    topics_and_groups_of_any_name_are_apart,
    groups_are_bounded,
    chance_loses_and_repeats_nothing,
    dropped_receivers_lose_nothing,
    a_drain_has_what_others_have_open,
    a_topic_is_removed_when_it_is_empty,
] and where entries are kept [
    a_new_group_begins_with_what_is_kept,
    a_full_topic_is_overloaded_until_entries_end,
    an_entry_fills_a_topic_until_every_group_has_ended_it,
    a_topic_without_groups_keeps_for_a_while,
    a_group_that_is_silent_for_long_is_forgotten,
    a_replay_begins_after_an_id,
    two_nodes_share_no_open_entry,
    many_end_at_once,
]);

/// Publishes a text.
pub async fn publish(queue: &Queue, topic: &str, priority: Priority, text: &str) -> u64 {
    let published = queue.publish(topic, priority, text.as_bytes().to_vec()).await;
    published.expect("an entry is published")
}

/// Makes a group known, and hears from here on.
pub async fn begin(queue: &Queue, topic: &str, group: &str) {
    assert_eq!(queue.receive(topic, group, 0, 0).await, Ok(vec![]));
}

/// Receives up to `max`, waiting for the first.
pub async fn receive(queue: &Queue, topic: &str, group: &str, max: u32) -> Vec<Entry> {
    let received = queue.receive(topic, group, max, WAIT_MS).await;
    received.expect("entries are received")
}

/// Receives until there are so many.
pub async fn receive_all(queue: &Queue, topic: &str, group: &str, count: usize) -> Vec<Entry> {
    let mut all = Vec::new();
    while all.len() < count {
        let more = receive(queue, topic, group, 1_000).await;
        assert!(!more.is_empty(), "{} of {count} were received", all.len());
        all.extend(more);
    }
    assert_eq!(all.len(), count, "{:?}", texts(&all));
    all
}

/// Waits until all that was published can be received: Pub/Sub takes a moment.
async fn kept(queue: &Queue, topic: &str, count: usize) {
    soon(Ok(count), async || {
        queue.replay(topic, 0, 1_000).await.map(|entries| entries.len())
    })
    .await;
}

/// What the entries say.
pub fn texts(entries: &[Entry]) -> Vec<String> {
    let text = |entry: &Entry| String::from_utf8(entry.payload.clone()).expect("a text");
    entries.iter().map(text).collect()
}

/// Their ids.
pub fn ids(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.id).collect()
}

async fn nothing(queue: &Queue, topic: &str, group: &str) {
    assert_eq!(queue.receive(topic, group, 10, 0).await, Ok(vec![]));
}

async fn publish_many(queue: &Queue, topic: &str, count: usize) -> Vec<u64> {
    let mut published = Vec::new();
    for n in 0..count {
        published.push(publish(queue, topic, Priority::Normal, &n.to_string()).await);
    }
    published
}
