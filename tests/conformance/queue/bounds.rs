//! What a queue holds at most, and when it has room again.

use std::sync::Arc;
use std::time::Duration;

use contract::Fault;
use contract::queue::Priority;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Backend, Bounds, begin, ids, nothing, publish, publish_many, receive, receive_all};
use crate::shared::soon;

pub(super) async fn a_large_payload_is_invalid(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn groups_are_bounded(backend: &Backend) {
    let queue = backend.node(
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

pub(super) async fn a_full_topic_is_overloaded_until_entries_end(backend: &Backend) {
    let bounds = Bounds {
        per_topic_max: 10,
        ..Bounds::default()
    };
    let queue = backend.node("one", &bounds);
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

pub(super) async fn an_entry_fills_a_topic_until_every_group_has_ended_it(backend: &Backend) {
    let bounds = Bounds {
        per_topic_max: 4,
        ..Bounds::default()
    };
    let queue = backend.node("one", &bounds);
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

pub(super) async fn a_topic_without_groups_keeps_for_a_while(backend: &Backend) {
    let bounds = Bounds {
        per_topic_max: 5,
        retain_ms: 400,
        ..Bounds::default()
    };
    let queue = backend.node("one", &bounds);
    publish_many(&queue, "t", 5).await;
    assert!(queue.publish("t", Priority::Low, vec![]).await.is_err());
    tokio::time::sleep(Duration::from_millis(450)).await;
    let kept = publish(&queue, "t", Priority::Low, "kept").await;
    assert_eq!(ids(&receive(&queue, "t", "g", 10).await), [kept]);
}

pub(super) async fn a_group_that_is_silent_for_long_is_forgotten(backend: &Backend) {
    let bounds = Bounds {
        per_topic_max: 4,
        group_idle_ms: 800,
        ..Bounds::default()
    };
    let queue = backend.node("one", &bounds);
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

pub(super) async fn many_end_at_once(backend: &Backend) {
    let queue = backend.node(
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

pub(super) async fn a_topic_is_removed_when_it_is_empty(backend: &Backend) {
    let queue = backend.one();
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
