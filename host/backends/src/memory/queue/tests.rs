//! What the queues in memory promise, on paused time.

use std::collections::HashMap;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn ids(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.id).collect()
}

/// Runs a body on paused time.
fn paused<T>(body: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(body)
}

#[tokio::test(start_paused = true)]
async fn urgent_overtakes_and_nobody_starves() {
    let queue = Queue::new(&MemoryQueueSettings::default());
    for n in 0..100 {
        let priority = [Priority::Low, Priority::Normal, Priority::Urgent, Priority::Urgent][n % 4];
        queue.publish("t", priority, vec![]).unwrap();
    }
    let taken = queue.receive("t", "g", 30, 0).await.unwrap();
    assert!(taken[..8].iter().all(|entry| entry.priority == Priority::Urgent));
    assert!(taken.iter().any(|entry| entry.priority == Priority::Low));
    assert!(taken.iter().any(|entry| entry.priority == Priority::Normal));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_wakes_when_something_comes() {
    let queue = Queue::new(&MemoryQueueSettings::default());
    let begun = Instant::now();
    let (entries, _) = tokio::join!(queue.receive("t", "g", 10, 5000), async {
        tokio::time::sleep(ms(70)).await;
        queue.publish("t", Priority::Normal, vec![7]).unwrap()
    });
    assert_eq!(
        entries.unwrap(),
        [Entry {
            id: 1,
            priority: Priority::Normal,
            payload: vec![7]
        }]
    );
    assert_eq!(begun.elapsed(), ms(70));
    assert_eq!(queue.receive("t", "g", 10, 30).await, Ok(vec![]));
    assert_eq!(begun.elapsed(), ms(100));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_is_given_again() {
    let queue = Queue::new(&MemoryQueueSettings {
        redeliver_after_ms: 100,
        ..MemoryQueueSettings::default()
    });
    for _ in 0..3 {
        queue.publish("t", Priority::Normal, vec![]).unwrap();
    }
    assert_eq!(ids(&queue.receive("t", "g", 10, 0).await.unwrap()), [1, 2, 3]);
    assert_eq!(queue.ack("t", "g", &[2, 2, 9]), 1);
    let begun = Instant::now();
    assert_eq!(ids(&queue.receive("t", "g", 1, 5000).await.unwrap()), [1]);
    assert_eq!(begun.elapsed(), ms(100));
    // Slow is not dead: 3 waits to be given again, and is ended before it is.
    assert_eq!(queue.ack("t", "g", &[3]), 1);
    assert_eq!(ids(&queue.receive("t", "g", 10, 50).await.unwrap()), [0; 0]);
    assert_eq!(queue.ack("t", "g", &[1]), 1);
    assert_eq!(queue.kept("t"), 0);
}

#[tokio::test(start_paused = true)]
async fn every_group_has_every_entry() {
    let queue = Queue::new(&MemoryQueueSettings::default());
    queue.publish("t", Priority::Normal, vec![]).unwrap();
    assert_eq!(ids(&queue.receive("t", "a", 10, 0).await.unwrap()), [1]);
    assert_eq!(ids(&queue.receive("t", "b", 10, 0).await.unwrap()), [1]);
    queue.ack("t", "a", &[1]);
    assert_eq!(queue.kept("t"), 1);
    queue.ack("t", "b", &[1]);
    assert_eq!(queue.kept("t"), 0);
    assert_eq!(queue.ack("t", "nobody", &[1]), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_topic_is_overloaded_until_old_entries_end() {
    let settings = MemoryQueueSettings {
        per_topic_max: 3,
        retain_ms: 100,
        topics_max: 2,
        ..MemoryQueueSettings::default()
    };
    let queue = Queue::new(&settings);
    let publish = |topic: &str| queue.publish(topic, Priority::Normal, vec![0; 10]);
    for _ in 0..3 {
        publish("t").unwrap();
    }
    assert!(matches!(publish("t"), Err(Fault::Overloaded(_))));
    publish("u").unwrap();
    assert!(matches!(publish("v"), Err(Fault::Overloaded(_))));
    advance(ms(100)).await;
    assert_eq!(publish("t"), Ok(4));
    advance(ms(1000)).await;
    assert_eq!(publish("v"), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn bytes_and_groups_are_bounded() {
    let queue = Queue::new(&MemoryQueueSettings {
        bytes_max: 25,
        groups_max: 1,
        ..MemoryQueueSettings::default()
    });
    let publish = |topic: &str| queue.publish(topic, Priority::Normal, vec![0; 10]);
    publish("t").unwrap();
    publish("u").unwrap();
    assert!(matches!(publish("t"), Err(Fault::Overloaded(_))));
    queue.receive("t", "g", 10, 0).await.unwrap();
    assert!(matches!(
        queue.receive("t", "h", 10, 0).await,
        Err(Fault::Overloaded(_))
    ));
    queue.ack("t", "g", &[1]);
    publish("u").unwrap();
}

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(vec![Priority::Low, Priority::Normal, Priority::High, Priority::Urgent])
}

proptest! {
    #[test]
    fn a_queue_gives_all_once_in_order_and_lets_nobody_wait_for_long(
        published in prop::collection::vec(priority(), 1..300),
        page in 1_u32..20,
    ) {
        paused(async {
            let queue = Queue::new(&MemoryQueueSettings::default());
            for priority in &published {
                queue.publish("t", *priority, vec![]).unwrap();
            }
            let mut waiting = HashMap::<Priority, usize>::new();
            for priority in &published {
                *waiting.entry(*priority).or_default() += 1;
            }
            let mut last = HashMap::<Priority, u64>::new();
            let mut passed = HashMap::<Priority, u32>::new();
            loop {
                let entries = queue.receive("t", "g", page, 0).await.unwrap();
                if entries.is_empty() {
                    break;
                }
                for entry in &entries {
                    let before = last.insert(entry.priority, entry.id).unwrap_or(0);
                    prop_assert!(before < entry.id, "older first inside a lane");
                    *waiting.get_mut(&entry.priority).unwrap() -= 1;
                    passed.insert(entry.priority, 0);
                    for (other, _) in waiting.iter().filter(|(other, left)| **other != entry.priority && **left > 0) {
                        let times = passed.entry(*other).or_default();
                        *times += 1;
                        prop_assert!(*other == Priority::Urgent || *times <= lane::PATIENCE + 3, "{other:?} starves");
                    }
                }
                queue.ack("t", "g", &ids(&entries));
            }
            prop_assert!(waiting.values().all(|left| *left == 0));
            prop_assert_eq!(queue.kept("t"), 0);
            Ok(())
        })?;
    }
}
