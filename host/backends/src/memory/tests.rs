//! What the backends in memory promise, on paused time.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::*;
use config::{MemoryCacheSettings, MemoryMetadataSettings};
use contract::Fault;
use contract::metadata::Lease;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn lease(set: &str, member: &str, ttl_ms: u64) -> Lease {
    Lease {
        set: set.to_owned(),
        member: member.to_owned(),
        ttl_ms,
    }
}

/// Runs a body on paused time.
fn paused<T>(body: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(body)
}

#[tokio::test(start_paused = true)]
async fn a_cached_value_ends_with_its_time() {
    let cache = Cache::new(&MemoryCacheSettings::default());
    cache.set("a".into(), vec![1], 100).unwrap();
    advance(ms(99)).await;
    assert_eq!(cache.get("a"), Ok(Some(vec![1])));
    advance(ms(1)).await;
    assert_eq!(cache.get("a"), Ok(None));
    assert!(matches!(cache.set("a".into(), vec![1], 0), Err(Fault::Invalid(_))));
    cache.set("a".into(), vec![2], 100).unwrap();
    cache.delete("a");
    assert_eq!(cache.get("a"), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_counter_lives_as_long_as_its_first_add_says() {
    let cache = Cache::new(&MemoryCacheSettings::default());
    assert_eq!(cache.increment("n".into(), 2, 100), Ok(2));
    advance(ms(60)).await;
    assert_eq!(cache.increment("n".into(), -5, 100), Ok(-3));
    assert_eq!(cache.get("n"), Ok(Some(b"-3".to_vec())));
    advance(ms(40)).await;
    assert_eq!(cache.increment("n".into(), 1, 100), Ok(1));
    cache.set("n".into(), b"word".to_vec(), 100).unwrap();
    assert!(matches!(cache.increment("n".into(), 1, 100), Err(Fault::Invalid(_))));
    cache.set("n".into(), i64::MAX.to_string().into_bytes(), 100).unwrap();
    assert!(matches!(cache.increment("n".into(), 1, 100), Err(Fault::Invalid(_))));
}

#[test]
fn concurrent_adds_are_all_counted() {
    let cache = Cache::new(&MemoryCacheSettings::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| drop(cache.increment("n".into(), 1, 60_000))));
        }
    });
    assert_eq!(cache.increment("n".into(), 0, 60_000), Ok(4000));
}

#[test]
fn a_cache_keeps_to_its_bytes() {
    let cache = Cache::new(&MemoryCacheSettings {
        bytes_max: 100_000,
        entry_bytes_max: 2000,
        ..MemoryCacheSettings::default()
    });
    for n in 0..1000 {
        cache.set(n.to_string(), vec![0; 1000], 60_000).unwrap();
    }
    let kept = (0..1000).filter(|n| cache.exists(&n.to_string())).count();
    assert!(kept < 400, "{kept} entries of 1000 bytes are kept");
    assert!(matches!(
        cache.set("big".into(), vec![0; 2000], 60_000),
        Err(Fault::Invalid(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn leases_are_shown_while_they_live() {
    let metadata = Metadata::new(&MemoryMetadataSettings::default());
    let leases = vec![lease("s", "b", 100), lease("s", "a", 200), lease("t", "é", 100)];
    assert_eq!(metadata.put(leases), Ok(vec![true; 3]));
    assert_eq!(metadata.put(vec![lease("s", "b", 150)]), Ok(vec![false]));
    advance(ms(100)).await;
    let sets = ["t".to_owned(), "s".to_owned(), "u".to_owned()];
    assert_eq!(
        metadata.members(&sets),
        [vec![], vec!["a".to_owned(), "b".to_owned()], vec![]]
    );
    assert_eq!((metadata.count("s"), metadata.count("t")), (2, 0));
    assert!(!metadata.remove("t", "é"));
    assert!(metadata.remove("s", "a"));
    assert!(!metadata.remove("s", "a"));
    advance(ms(50)).await;
    assert_eq!(metadata.put(vec![lease("s", "b", 100)]), Ok(vec![true]));
}

#[tokio::test(start_paused = true)]
async fn ended_leases_do_not_pile_up() {
    let metadata = Metadata::new(&MemoryMetadataSettings {
        leases_max: 50,
        ..MemoryMetadataSettings::default()
    });
    for n in 0..5000 {
        metadata
            .put(vec![lease(&format!("set {}", n % 7), &n.to_string(), 10)])
            .unwrap();
        advance(ms(1)).await;
    }
    assert!(metadata.kept() <= 50);
    let many = (0..51).map(|n| lease("s", &n.to_string(), 10)).collect();
    assert!(matches!(metadata.put(many), Err(Fault::Overloaded(_))));
    assert_eq!(metadata.count("s"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lock_has_one_owner_and_growing_numbers() {
    let metadata = Metadata::new(&MemoryMetadataSettings::default());
    let lock = |owner: &str| metadata.lock("l".into(), owner.into(), 100).unwrap();
    let first = lock("a").unwrap();
    assert_eq!(lock("b"), None);
    advance(ms(60)).await;
    assert_eq!(lock("a"), Some(first));
    advance(ms(60)).await;
    assert_eq!(lock("b"), None);
    advance(ms(40)).await;
    let second = lock("b").unwrap();
    assert!(second > first);
    assert!(!metadata.unlock("l", "a"));
    assert!(metadata.unlock("l", "b"));
    assert!(!metadata.unlock("l", "b"));
    assert!(lock("a").unwrap() > second);
}

proptest! {
    #[test]
    fn leases_obey_a_simple_model(
        acts in prop::collection::vec((0..3_u8, 0..3_u8, 0..4_u8, 1..50_u64), 1..200),
    ) {
        paused(async {
            let metadata = Metadata::new(&MemoryMetadataSettings::default());
            let mut model = HashMap::<(String, String), Instant>::new();
            for (act, set, member, time_ms) in acts {
                let key = (set.to_string(), member.to_string());
                let now = Instant::now();
                let alive = model.get(&key).is_some_and(|ends| now < *ends);
                match act {
                    0 => {
                        let new = metadata.put(vec![lease(&key.0, &key.1, time_ms)]).unwrap();
                        prop_assert_eq!(new, [!alive]);
                        model.insert(key, now + ms(time_ms));
                    }
                    1 => {
                        prop_assert_eq!(metadata.remove(&key.0, &key.1), alive);
                        model.remove(&key);
                    }
                    _ => advance(ms(time_ms / 4)).await,
                }
                let now = Instant::now();
                let set = set.to_string();
                let mut expected = model
                    .iter()
                    .filter(|((of, _), ends)| *of == set && now < **ends)
                    .map(|((_, member), _)| member.clone())
                    .collect::<Vec<_>>();
                expected.sort();
                prop_assert_eq!(metadata.count(&set), expected.len() as u64);
                prop_assert_eq!(metadata.members(&[set]), [expected]);
            }
            Ok(())
        })?;
    }
}
