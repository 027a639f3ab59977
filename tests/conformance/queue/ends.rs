//! Who is given an entry, and when it has ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backends::Queue;
use contract::queue::{Entry, Priority};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Backend, Bounds, WAIT_MS, begin, ids, kept, nothing, publish, publish_many, receive, receive_all, texts};
use crate::dice::Dice;

pub(super) async fn two_receivers_share_no_open_entry(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn two_nodes_share_no_open_entry(backend: &Backend) {
    let nodes = [backend.one(), backend.node("two", &Bounds::default())];
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

pub(super) async fn each_group_has_every_entry(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn ends_are_counted_once(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn what_is_not_ended_is_given_again(backend: &Backend) {
    let bounds = Bounds {
        redeliver_after_ms: 400,
        ..Bounds::default()
    };
    let queue = backend.node("one", &bounds);
    begin(&queue, "t", "g").await;
    let published = publish_many(&queue, "t", 3).await;
    // All are given at once, so that all are late at once.
    kept(&queue, "t", 3).await;
    let begun = Instant::now();
    assert_eq!(ids(&receive(&queue, "t", "g", 10).await), published);
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

pub(super) async fn an_end_that_comes_late_counts(backend: &Backend) {
    let bounds = Bounds {
        redeliver_after_ms: 100,
        ..Bounds::default()
    };
    let queue = backend.node("one", &bounds);
    begin(&queue, "t", "g").await;
    let id = publish(&queue, "t", Priority::Normal, "").await;
    receive_all(&queue, "t", "g", 1).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(queue.ack("t", "g", &[id]).await, Ok(1));
    assert_eq!(queue.receive("t", "g", 10, 200).await, Ok(vec![]));
}

pub(super) async fn chance_loses_and_repeats_nothing(backend: &Backend) {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 150;
    let mut dice = Dice::thrown("publishers and receivers of a queue");
    let queue = backend.one();
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

pub(super) async fn dropped_receivers_lose_nothing(backend: &Backend) {
    let mut dice = Dice::thrown("receivers that are dropped");
    // What a dropped receiver was just given is given again.
    let bounds = Bounds {
        redeliver_after_ms: 300,
        ..Bounds::default()
    };
    let queue = backend.node("one", &bounds);
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

pub(super) async fn a_drain_has_what_others_have_open(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn a_new_group_begins_with_what_is_kept(backend: &Backend) {
    let queue = backend.one();
    let published = publish_many(&queue, "t", 3).await;
    assert_eq!(ids(&receive(&queue, "t", "a", 10).await), published);
    assert_eq!(queue.ack("t", "a", &published[..1]).await, Ok(1));
    assert_eq!(ids(&receive(&queue, "t", "b", 10).await), published[1..]);
}
