//! The order of entries, and how soon they come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contract::queue::Priority;
use tokio::time::Instant;

use super::{Backend, Bounds, WAIT_MS, begin, ids, kept, nothing, publish, receive, receive_all, texts};

pub(super) async fn entries_of_a_lane_come_in_order(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn ids_grow_over_all_lanes(backend: &Backend) {
    use Priority::{High, Low, Normal, Urgent};
    let queue = backend.one();
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

pub(super) async fn the_urgent_overtake(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn the_low_are_not_starved(backend: &Backend) {
    let queue = backend.one();
    begin(&queue, "t", "g").await;
    publish(&queue, "t", Priority::Low, "low").await;
    publish(&queue, "t", Priority::Normal, "normal").await;
    for n in 0..100 {
        publish(&queue, "t", Priority::Urgent, &n.to_string()).await;
    }
    kept(&queue, "t", 102).await;
    let received = texts(&receive(&queue, "t", "g", 102).await);
    assert_eq!(received.len(), 102);
    let position = |text: &str| received.iter().position(|other| other == text).expect("it is there");
    assert!(
        position("0") < position("normal") && position("normal") < 10,
        "{received:?}"
    );
    assert!(position("low") < 20, "{received:?}");
    let urgent = received.iter().filter(|text| text.parse::<u32>().is_ok());
    assert!(urgent.map(|text| text.parse::<u32>().expect("a number")).is_sorted());
}

pub(super) async fn the_low_are_not_starved_in_one_receive_after_another(backend: &Backend) {
    let queue = backend.one();
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
    let position = received.iter().position(|text| text == "low").expect("it is there");
    assert!(position < 10, "{received:?}");
}

pub(super) async fn a_receiver_has_at_most_what_it_asks_for(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn a_waiting_receiver_wakes_at_once(backend: &Backend) {
    let receiver = backend.one();
    let publisher = backend.node("two", &Bounds::default());
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

pub(super) async fn a_wait_ends_without_an_entry(backend: &Backend) {
    let queue = backend.one();
    begin(&queue, "t", "g").await;
    let begun = Instant::now();
    assert_eq!(queue.receive("t", "g", 10, 150).await, Ok(vec![]));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(145), "it took {took:?}");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}

pub(super) async fn any_bytes_are_a_payload(backend: &Backend) {
    let queue = backend.one();
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

pub(super) async fn topics_and_groups_of_any_name_are_apart(backend: &Backend) {
    let names = [
        "", "{", "}", "{}", "}{", "{a}", "{a}b", "a", "a}", "%7B", "%", "ü", "🦀", " ", "\r\n", "\0", "*", "a:low",
    ];
    let queue = backend.node(
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

pub(super) async fn a_replay_begins_after_an_id(backend: &Backend) {
    let queue = backend.one();
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
