//! What a queue promises.
//!
//! A case opens as many nodes as it needs; in memory they are all the same one. Each node that will receive begins with
//! an empty `receive`, because Pub/Sub hears nothing before.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backends::redis::{QueueSettings, Way};
use backends::{Entry, Fault, Priority, Queue, memory, redis};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::dice::Dice;
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
pub struct Twin {
    server: Option<(redis::Settings, Way)>,
    memory: Mutex<Option<Arc<Queue>>>,
}

impl Twin {
    fn memory() -> Self {
        Self {
            server: None,
            memory: Mutex::default(),
        }
    }

    fn redis(server: redis::Settings, way: Way) -> Self {
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
        Arc::new(Queue::Redis(redis::Queue::new(&settings, name).expect("a queue")))
    }

    fn one(&self) -> Arc<Queue> {
        self.node("one", &Bounds::default())
    }
}

fn in_memory(bounds: &Bounds) -> memory::QueueSettings {
    memory::QueueSettings {
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
pub fn in_redis(server: &redis::Settings, bounds: &Bounds, read: Way, write: &[Way]) -> QueueSettings {
    QueueSettings {
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

macro_rules! on_twin {
    ($twin:ident, $made:expr, [$($case:ident),* $(,)?]) => {
        mod $twin {
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

macro_rules! on_every_twin {
    ([$($heard:ident),* $(,)?] and where entries are kept [$($kept:ident),* $(,)?]) => {
        on_twin!(embedded, Twin::memory(), [$($heard,)* $($kept),*]);
        on_twin!(streams, Twin::redis(shared::single_settings(), Way::Streams), [$($heard,)* $($kept),*]);
        on_twin!(streams_cluster, Twin::redis(shared::cluster_settings(), Way::Streams), [$($heard,)* $($kept),*]);
        on_twin!(pubsub, Twin::redis(shared::single_settings(), Way::PubSub), [$($heard),*]);
        on_twin!(pubsub_cluster, Twin::redis(shared::cluster_settings(), Way::PubSub), [$($heard),*]);
    };
}

on_every_twin!([
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

async fn entries_of_a_lane_come_in_order(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    let expected = (0..300).map(|n| n.to_string()).collect::<Vec<_>>();
    for text in &expected {
        publish(&queue, "t", Priority::Normal, text).await;
    }
    let received = receive_all(&queue, "t", "g", 300).await;
    assert_eq!(texts(&received), expected);
    assert!(ids(&received).is_sorted_by(|one, next| one < next));
    nothing(&queue, "t", "g").await;
}

async fn ids_grow_over_all_lanes(twin: &Twin) {
    use Priority::{High, Low, Normal, Urgent};
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    let mut published = Vec::new();
    for _ in 0..20 {
        for priority in [Urgent, Low, Normal, High, High, Urgent, Low] {
            published.push((publish(&queue, "t", priority, "").await, priority));
        }
    }
    assert!(published.is_sorted_by(|one, next| one.0 < next.0), "{published:?}");
    let mut received = receive_all(&queue, "t", "g", published.len()).await;
    received.sort_by_key(|entry| entry.id);
    let received = received
        .iter()
        .map(|entry| (entry.id, entry.priority))
        .collect::<Vec<_>>();
    assert_eq!(received, published);
}

async fn the_urgent_overtake(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    for (text, priority) in [
        ("low", Priority::Low),
        ("normal", Priority::Normal),
        ("urgent", Priority::Urgent),
        ("high", Priority::High),
        ("urgent too", Priority::Urgent),
    ] {
        publish(&queue, "t", priority, text).await;
    }
    kept(&queue, "t", 5).await;
    let mut all = texts(&receive(&queue, "t", "g", 3).await);
    all.extend(texts(&receive(&queue, "t", "g", 3).await));
    assert_eq!(all, ["urgent", "urgent too", "high", "normal", "low"]);
}

async fn the_low_are_not_starved(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    publish(&queue, "t", Priority::Low, "low").await;
    publish(&queue, "t", Priority::Normal, "normal").await;
    for n in 0..100 {
        publish(&queue, "t", Priority::Urgent, &n.to_string()).await;
    }
    kept(&queue, "t", 102).await;
    let received = texts(&receive(&queue, "t", "g", 102).await);
    assert_eq!(received.len(), 102);
    let place = |text: &str| received.iter().position(|other| other == text).expect("it is there");
    assert!(place("0") < place("normal") && place("normal") < 10, "{received:?}");
    assert!(place("low") < 20, "{received:?}");
    let urgent = received.iter().filter(|text| text.parse::<u32>().is_ok());
    assert!(urgent.map(|text| text.parse::<u32>().expect("a number")).is_sorted());
}

async fn the_low_are_not_starved_in_one_receive_after_another(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    publish(&queue, "t", Priority::Low, "low").await;
    for n in 0..60 {
        publish(&queue, "t", Priority::Urgent, &n.to_string()).await;
    }
    kept(&queue, "t", 61).await;
    let mut received = Vec::new();
    while received.len() < 61 {
        received.extend(texts(&receive(&queue, "t", "g", 1).await));
    }
    let place = received.iter().position(|text| text == "low").expect("it is there");
    assert!(place < 10, "{received:?}");
}

async fn a_receiver_has_at_most_what_it_asks_for(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    for n in 0..20_u32 {
        let priority = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent][n as usize % 4];
        publish(&queue, "t", priority, "").await;
    }
    let mut had = BTreeSet::new();
    for max in [1, 3, 7, 2, 100] {
        assert_eq!(queue.receive("t", "g", 0, WAIT_MS).await, Ok(vec![]));
        let received = receive(&queue, "t", "g", max).await;
        assert!(!received.is_empty() && received.len() <= max as usize);
        had.extend(ids(&received));
    }
    while had.len() < 20 {
        had.extend(ids(&receive(&queue, "t", "g", 100).await));
    }
}

async fn a_waiting_receiver_wakes_at_once(twin: &Twin) {
    let receiver = twin.one();
    let publisher = twin.node("two", &Bounds::default());
    begin(&receiver, "t", "g").await;
    let mut late = Vec::new();
    for round in 0..150 {
        let waiting = tokio::spawn({
            let receiver = Arc::clone(&receiver);
            async move {
                let received = receive(&receiver, "t", "g", 10).await;
                (received, Instant::now())
            }
        });
        // Sometimes it waits already, sometimes it is about to.
        tokio::time::sleep(Duration::from_micros(round * 37 % 3_000)).await;
        let begun = Instant::now();
        let id = publish(&publisher, "t", Priority::Normal, "").await;
        let (received, woken) = waiting.await.expect("a receiver");
        assert_eq!(ids(&received), [id]);
        assert_eq!(receiver.ack("t", "g", &[id]).await, Ok(1));
        late.push(woken.saturating_duration_since(begun));
    }
    late.sort();
    // Far from any interval at which somebody might look again; the machine may be busy.
    assert!(late[75] < Duration::from_millis(100), "half took {:?}", late[75]);
    assert!(late[149] < Duration::from_secs(3), "one took {:?}", late[149]);
}

async fn a_wait_ends_without_an_entry(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    let begun = Instant::now();
    assert_eq!(queue.receive("t", "g", 10, 150).await, Ok(vec![]));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(145), "it took {took:?}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}

async fn two_receivers_share_no_open_entry(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    let mut receivers = JoinSet::new();
    for _ in 0..4 {
        let queue = Arc::clone(&queue);
        receivers.spawn(async move {
            let mut had = Vec::new();
            loop {
                let received = queue.receive("t", "g", 3, 500).await.expect("entries");
                if received.is_empty() {
                    return had;
                }
                had.extend(ids(&received));
            }
        });
    }
    let mut published = Vec::new();
    for _ in 0..200 {
        published.push(publish(&queue, "t", Priority::Normal, "").await);
    }
    let mut had = receivers.join_all().await.into_iter().flatten().collect::<Vec<_>>();
    had.sort_unstable();
    assert_eq!(had, published);
}

async fn two_nodes_share_no_open_entry(twin: &Twin) {
    let nodes = [twin.one(), twin.node("two", &Bounds::default())];
    let published = publish_many(&nodes[0], "t", 100).await;
    let mut had = Vec::new();
    for turn in 0..50 {
        had.extend(ids(&receive(&nodes[turn % 2], "t", "g", 2).await));
    }
    had.sort_unstable();
    assert_eq!(had, published);
    nothing(&nodes[0], "t", "g").await;
    nothing(&nodes[1], "t", "g").await;
    // A node may end what another was given.
    assert_eq!(nodes[1].ack("t", "g", &had).await, Ok(100));
}

async fn publish_many(queue: &Queue, topic: &str, count: usize) -> Vec<u64> {
    let mut published = Vec::new();
    for n in 0..count {
        published.push(publish(queue, topic, Priority::Normal, &n.to_string()).await);
    }
    published
}

async fn each_group_has_every_entry(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "a").await;
    begin(&queue, "t", "b").await;
    let published = publish_many(&queue, "t", 50).await;
    let first = receive_all(&queue, "t", "a", 50).await;
    assert_eq!(ids(&first), published);
    assert_eq!(queue.ack("t", "a", &published).await, Ok(50));
    let second = receive_all(&queue, "t", "b", 50).await;
    assert_eq!(second, first);
    assert_eq!(queue.ack("t", "b", &published).await, Ok(50));
    nothing(&queue, "t", "a").await;
    nothing(&queue, "t", "b").await;
}

async fn ends_are_counted_once(twin: &Twin) {
    let queue = twin.one();
    assert_eq!(queue.ack("t", "g", &[1]).await, Ok(0));
    begin(&queue, "t", "g").await;
    let published = publish_many(&queue, "t", 4).await;
    assert_eq!(queue.ack("t", "g", &published).await, Ok(0), "nobody had them");
    receive_all(&queue, "t", "g", 4).await;
    assert_eq!(queue.ack("t", "g", &[]).await, Ok(0));
    let one = published[0];
    assert_eq!(queue.ack("t", "g", &[one, one, 7, u64::MAX, 0]).await, Ok(1));
    assert_eq!(queue.ack("t", "other", &published).await, Ok(0));
    assert_eq!(queue.ack("other", "g", &published).await, Ok(0));
    assert_eq!(queue.ack("t", "g", &published).await, Ok(3));
    assert_eq!(queue.ack("t", "g", &published).await, Ok(0));
}

async fn what_is_not_ended_is_given_again(twin: &Twin) {
    let bounds = Bounds {
        redeliver_after_ms: 400,
        ..Bounds::default()
    };
    let queue = twin.node("one", &bounds);
    begin(&queue, "t", "g").await;
    let published = publish_many(&queue, "t", 3).await;
    receive_all(&queue, "t", "g", 3).await;
    let begun = Instant::now();
    assert_eq!(queue.ack("t", "g", &published[..1]).await, Ok(1));
    nothing(&queue, "t", "g").await;
    // A receiver that waits already has them when their time has come.
    let again = receive(&queue, "t", "g", 10).await;
    assert_eq!(ids(&again), published[1..]);
    assert!(begun.elapsed() >= Duration::from_millis(350), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(queue.ack("t", "g", &published).await, Ok(2));
    assert_eq!(queue.receive("t", "g", 10, 600).await, Ok(vec![]));
}

async fn an_end_that_comes_late_counts(twin: &Twin) {
    let bounds = Bounds {
        redeliver_after_ms: 100,
        ..Bounds::default()
    };
    let queue = twin.node("one", &bounds);
    begin(&queue, "t", "g").await;
    let id = publish(&queue, "t", Priority::Normal, "").await;
    receive_all(&queue, "t", "g", 1).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(queue.ack("t", "g", &[id]).await, Ok(1));
    assert_eq!(queue.receive("t", "g", 10, 200).await, Ok(vec![]));
}

async fn a_large_payload_is_invalid(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    let refused = queue.publish("t", Priority::Normal, vec![1; 4097]).await;
    assert!(matches!(refused, Err(Fault::Invalid(_))), "{refused:?}");
    let long = "x".repeat(4097);
    for refused in [
        queue.publish(&long, Priority::Normal, vec![]).await.map(|_| ()),
        queue.receive(&long, "g", 1, 0).await.map(|_| ()),
        queue.receive("t", &long, 1, 0).await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(Fault::Invalid(_))), "{refused:?}");
    }
    queue
        .publish("t", Priority::Normal, vec![1; 4096])
        .await
        .expect("it fits");
    let received = receive(&queue, "t", "g", 10).await;
    assert_eq!(received[0].payload, vec![1; 4096]);
}

async fn any_bytes_are_a_payload(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    let all = (0..=255).collect::<Vec<u8>>();
    for payload in [&b""[..], b"\0", b" ", b"\r\n", &all] {
        queue
            .publish("t", Priority::High, payload.to_vec())
            .await
            .expect("published");
        let received = receive(&queue, "t", "g", 10).await;
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].payload, payload);
        assert_eq!(received[0].priority, Priority::High);
    }
}

async fn topics_and_groups_of_any_name_are_apart(twin: &Twin) {
    let names = [
        "", "{", "}", "{}", "}{", "{a}", "{a}b", "a", "a}", "%7B", "%", "ü", "🦀", " ", "\r\n", "\0", "*", "a:low",
    ];
    let queue = twin.node(
        "one",
        &Bounds {
            groups_max: 40,
            ..Bounds::default()
        },
    );
    for name in names {
        begin(&queue, name, name).await;
        publish(&queue, name, Priority::Normal, name).await;
    }
    for name in names {
        let received = receive(&queue, name, name, 10).await;
        assert_eq!(texts(&received), [name]);
        assert_eq!(queue.ack(name, name, &ids(&received)).await, Ok(1), "{name:?}");
    }
    for name in names {
        begin(&queue, "t", name).await;
    }
    publish(&queue, "t", Priority::Normal, "all").await;
    for name in names {
        let received = receive(&queue, "t", name, 10).await;
        assert_eq!(texts(&received), ["all"]);
        assert_eq!(queue.ack("t", name, &ids(&received)).await, Ok(1), "{name:?}");
    }
}

async fn groups_are_bounded(twin: &Twin) {
    let queue = twin.node(
        "one",
        &Bounds {
            groups_max: 2,
            ..Bounds::default()
        },
    );
    begin(&queue, "t", "a").await;
    begin(&queue, "t", "b").await;
    let refused = queue.receive("t", "c", 1, 0).await;
    assert!(matches!(refused, Err(Fault::Overloaded(_))), "{refused:?}");
    nothing(&queue, "t", "a").await;
}

async fn chance_loses_and_repeats_nothing(twin: &Twin) {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 150;
    let mut dice = Dice::thrown("publishers and receivers of a queue");
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    let mut receivers = JoinSet::new();
    for _ in 0..3 {
        let (queue, max) = (Arc::clone(&queue), dice.between(1, 40) as u32);
        receivers.spawn(async move {
            let mut had = Vec::new();
            loop {
                let received = queue.receive("t", "g", max, 1_000).await.expect("entries");
                if received.is_empty() {
                    return had;
                }
                let ids = ids(&received);
                assert_eq!(queue.ack("t", "g", &ids).await, Ok(ids.len() as u32));
                had.extend(received);
            }
        });
    }
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let queue = Arc::clone(&queue);
        let priorities = (0..EACH).map(|_| dice.between(0, 4)).collect::<Vec<_>>();
        publishers.spawn(async move {
            for (n, priority) in priorities.into_iter().enumerate() {
                let priority = [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent][priority as usize];
                publish(&queue, "t", priority, &format!("{publisher} {n}")).await;
            }
        });
    }
    publishers.join_all().await;
    let received = receivers.join_all().await.into_iter().flatten().collect::<Vec<_>>();
    let mut said = texts(&received);
    said.sort();
    let mut expected = (0..PUBLISHERS)
        .flat_map(|publisher| (0..EACH).map(move |n| format!("{publisher} {n}")))
        .collect::<Vec<_>>();
    expected.sort();
    assert_eq!(said, expected);
    nothing(&queue, "t", "g").await;
}

async fn dropped_receivers_lose_nothing(twin: &Twin) {
    let mut dice = Dice::thrown("receivers that are dropped");
    // What a dropped receiver was just given is given again.
    let bounds = Bounds {
        redeliver_after_ms: 300,
        ..Bounds::default()
    };
    let queue = twin.node("one", &bounds);
    begin(&queue, "t", "g").await;
    let mut open = BTreeSet::new();
    for _ in 0..60 {
        let micros = Duration::from_micros(dice.between(0, 4_000));
        let publishes = async {
            let mut ids = Vec::new();
            for _ in 0..3 {
                ids.push(publish(&queue, "t", Priority::Normal, "").await);
            }
            ids
        };
        let (ids, received) = tokio::join!(
            publishes,
            tokio::time::timeout(micros, queue.receive("t", "g", 2, WAIT_MS))
        );
        open.extend(ids);
        if let Ok(received) = received {
            end(&queue, &received.expect("entries"), &mut open).await;
        }
    }
    while !open.is_empty() {
        let received = receive(&queue, "t", "g", 100).await;
        assert!(!received.is_empty(), "{} are lost", open.len());
        end(&queue, &received, &mut open).await;
    }
}

async fn end(queue: &Queue, received: &[Entry], open: &mut BTreeSet<u64>) {
    for id in ids(received) {
        assert!(open.remove(&id), "{id} was ended before");
        assert_eq!(queue.ack("t", "g", &[id]).await, Ok(1));
    }
}

async fn a_drain_has_what_others_have_open(twin: &Twin) {
    let queue = twin.one();
    begin(&queue, "t", "g").await;
    let published = publish_many(&queue, "t", 6).await;
    let had = receive_all(&queue, "t", "g", 6).await;
    assert_eq!(queue.ack("t", "g", &published[..2]).await, Ok(2));
    nothing(&queue, "t", "g").await;
    assert_eq!(queue.drain("t", "g", 3).await, Ok(had[2..5].to_vec()));
    assert_eq!(queue.ack("t", "g", &published[2..5]).await, Ok(3));
    assert_eq!(queue.drain("t", "g", 3).await, Ok(had[5..].to_vec()));
    assert_eq!(queue.drain("t", "g", 3).await, Ok(had[5..].to_vec()));
    assert_eq!(queue.ack("t", "g", &published[5..]).await, Ok(1));
    assert_eq!(queue.drain("t", "g", 3).await, Ok(vec![]));
}

async fn a_topic_is_removed_when_it_is_empty(twin: &Twin) {
    let queue = twin.one();
    assert_eq!(queue.remove_topic("absent").await, Ok(true));
    begin(&queue, "t", "g").await;
    let published = publish_many(&queue, "t", 2).await;
    receive_all(&queue, "t", "g", 2).await;
    assert_eq!(queue.remove_topic("t").await, Ok(false));
    assert_eq!(queue.ack("t", "g", &published).await, Ok(2));
    // Whoever brought the last entry may still have the topic in hand.
    soon(Ok(true), || queue.remove_topic("t")).await;
    assert_eq!(queue.ack("t", "g", &published).await, Ok(0));
    begin(&queue, "t", "g").await;
    let id = publish(&queue, "t", Priority::Normal, "again").await;
    assert_eq!(ids(&receive(&queue, "t", "g", 1).await), [id]);
}

async fn a_new_group_begins_with_what_is_kept(twin: &Twin) {
    let queue = twin.one();
    let published = publish_many(&queue, "t", 3).await;
    assert_eq!(ids(&receive(&queue, "t", "a", 10).await), published);
    assert_eq!(queue.ack("t", "a", &published[..1]).await, Ok(1));
    assert_eq!(ids(&receive(&queue, "t", "b", 10).await), published[1..]);
}

async fn a_full_topic_is_overloaded_until_entries_end(twin: &Twin) {
    let bounds = Bounds {
        per_topic_max: 10,
        ..Bounds::default()
    };
    let queue = twin.node("one", &bounds);
    begin(&queue, "t", "g").await;
    let published = publish_many(&queue, "t", 10).await;
    for _ in 0..2 {
        for priority in [Priority::Low, Priority::Urgent] {
            let refused = queue.publish("t", priority, vec![]).await;
            assert!(matches!(refused, Err(Fault::Overloaded(_))), "{refused:?}");
        }
        assert_eq!(
            queue.publish("elsewhere", Priority::Low, vec![]).await.map(|_| ()),
            Ok(())
        );
    }
    assert_eq!(ids(&receive(&queue, "t", "g", 20).await), published);
    let refused = queue.publish("t", Priority::Low, vec![]).await;
    assert!(matches!(refused, Err(Fault::Overloaded(_))), "{refused:?}");
    assert_eq!(queue.ack("t", "g", &published[3..5]).await, Ok(2));
    let more = publish_many(&queue, "t", 2).await;
    let refused = queue.publish("t", Priority::Low, vec![]).await;
    assert!(matches!(refused, Err(Fault::Overloaded(_))), "{refused:?}");
    assert_eq!(ids(&receive(&queue, "t", "g", 20).await), more);
}

async fn an_entry_fills_a_topic_until_every_group_has_ended_it(twin: &Twin) {
    let bounds = Bounds {
        per_topic_max: 4,
        ..Bounds::default()
    };
    let queue = twin.node("one", &bounds);
    begin(&queue, "t", "a").await;
    begin(&queue, "t", "b").await;
    let published = publish_many(&queue, "t", 4).await;
    receive_all(&queue, "t", "a", 4).await;
    assert_eq!(queue.ack("t", "a", &published).await, Ok(4));
    assert!(queue.publish("t", Priority::Low, vec![]).await.is_err());
    assert_eq!(ids(&receive(&queue, "t", "b", 2).await), published[..2]);
    assert!(queue.publish("t", Priority::Low, vec![]).await.is_err());
    assert_eq!(queue.ack("t", "b", &published[1..2]).await, Ok(1));
    publish(&queue, "t", Priority::Low, "").await;
    assert!(queue.publish("t", Priority::Low, vec![]).await.is_err());
}

async fn a_topic_without_groups_keeps_for_a_while(twin: &Twin) {
    let bounds = Bounds {
        per_topic_max: 5,
        retain_ms: 400,
        ..Bounds::default()
    };
    let queue = twin.node("one", &bounds);
    publish_many(&queue, "t", 5).await;
    assert!(queue.publish("t", Priority::Low, vec![]).await.is_err());
    tokio::time::sleep(Duration::from_millis(450)).await;
    let kept = publish(&queue, "t", Priority::Low, "kept").await;
    assert_eq!(ids(&receive(&queue, "t", "g", 10).await), [kept]);
}

async fn a_group_that_is_silent_for_long_is_forgotten(twin: &Twin) {
    let bounds = Bounds {
        per_topic_max: 4,
        group_idle_ms: 800,
        ..Bounds::default()
    };
    let queue = twin.node("one", &bounds);
    begin(&queue, "t", "silent").await;
    begin(&queue, "t", "alive").await;
    publish_many(&queue, "t", 4).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut ended = 0;
    while queue.publish("t", Priority::Normal, vec![]).await.is_err() {
        let received = queue.receive("t", "alive", 10, 20).await.expect("entries");
        ended += queue.ack("t", "alive", &ids(&received)).await.expect("ends");
        assert!(Instant::now() < deadline, "nothing was forgotten");
    }
    assert_eq!(ended, 4);
    assert_eq!(receive(&queue, "t", "alive", 10).await.len(), 1);
}

async fn a_replay_begins_after_an_id(twin: &Twin) {
    let queue = twin.one();
    assert_eq!(queue.replay("t", 0, 10).await, Ok(vec![]));
    begin(&queue, "t", "g").await;
    let mut published = Vec::new();
    for n in 0..12_u32 {
        let priority = [Priority::Urgent, Priority::Low, Priority::Normal, Priority::High][n as usize % 4];
        published.push(publish(&queue, "t", priority, &n.to_string()).await);
    }
    let all = queue.replay("t", 0, 100).await.expect("entries");
    assert_eq!(ids(&all), published);
    assert_eq!(texts(&all)[..3], ["0", "1", "2"]);
    assert_eq!(all[0].priority, Priority::Urgent);
    assert_eq!(queue.replay("t", published[3], 2).await, Ok(all[4..6].to_vec()));
    assert_eq!(queue.replay("t", published[11], 2).await, Ok(vec![]));
    assert_eq!(queue.replay("t", u64::MAX, 2).await, Ok(vec![]));
    // It took nothing from anybody.
    assert_eq!(receive(&queue, "t", "g", 100).await.len(), 12);
}

async fn many_end_at_once(twin: &Twin) {
    let queue = twin.node(
        "one",
        &Bounds {
            per_topic_max: 3_000,
            ..Bounds::default()
        },
    );
    begin(&queue, "t", "g").await;
    let mut publishers = JoinSet::new();
    for _ in 0..10 {
        let queue = Arc::clone(&queue);
        publishers.spawn(async move { publish_many(&queue, "t", 300).await });
    }
    let published = publishers.join_all().await.concat();
    receive_all(&queue, "t", "g", 3_000).await;
    assert_eq!(queue.ack("t", "g", &published).await, Ok(3_000));
    assert_eq!(queue.remove_topic("t").await, Ok(true));
}
