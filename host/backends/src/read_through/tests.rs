//! The protocol on paused time, over the cache in memory.

mod interleaving;

use std::cell::Cell;
use std::rc::Rc;

use config::MemoryCacheSettings;
use tokio::time::{advance, sleep};

use super::*;
use crate::memory;

fn cache() -> Cache {
    Cache::Memory(memory::Cache::new(&MemoryCacheSettings::default()))
}

/// A cache that refuses to keep anything, and fails a lookup in its second half.
fn failing_cache() -> Cache {
    Cache::Memory(memory::Cache::new(&MemoryCacheSettings {
        entry_bytes_max: 0,
        ..MemoryCacheSettings::default()
    }))
}

fn through() -> ReadThrough {
    ReadThrough::new(ReadThroughSettings {
        jitter_percent: 0,
        ..ReadThroughSettings::default()
    })
}

async fn look(through: &ReadThrough, cache: &Cache, key: &str) -> Found {
    let (mut found, _) = through.lookup(cache, "f", &[key.to_owned()]).await.unwrap();
    found.pop().unwrap()
}

async fn look_all(through: &ReadThrough, cache: &Cache, keys: &[&str]) -> (Vec<Found>, Tally) {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    through.lookup(cache, "f", &keys).await.unwrap()
}

async fn fill(through: &ReadThrough, cache: &Cache, ticket: u64, value: Option<&[u8]>) {
    fill_for(through, cache, ticket, value, 30_000).await;
}

async fn fill_for(through: &ReadThrough, cache: &Cache, ticket: u64, value: Option<&[u8]>, ttl_ms: u64) {
    let value = value.map(<[u8]>::to_vec);
    let filled = vec![Filled { ticket, value, ttl_ms }];
    through.fill(cache, "f", filled).await.unwrap();
}

async fn forget(through: &ReadThrough, cache: &Cache, key: &str) {
    through.forget(cache, &[key.to_owned()]).await.unwrap();
}

fn ticket(found: &Found) -> u64 {
    match found {
        Found::Load(ticket) => *ticket,
        found => panic!("nothing is to be loaded: {found:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_filled_is_found_until_its_time_ends() {
    let (through, cache) = (through(), cache());
    let load = ticket(&look(&through, &cache, "a").await);
    fill(&through, &cache, load, Some(b"1")).await;
    assert_eq!(look(&through, &cache, "a").await, Found::Value(b"1".to_vec()));
    advance(ms(29_999)).await;
    assert_eq!(look(&through, &cache, "a").await, Found::Value(b"1".to_vec()));
    advance(ms(1)).await;
    assert_ne!(ticket(&look(&through, &cache, "a").await), NOT_KEPT);
}

#[tokio::test(start_paused = true)]
async fn that_there_is_nothing_is_known_for_a_shorter_time() {
    let (through, cache) = (through(), cache());
    let load = ticket(&look(&through, &cache, "a").await);
    fill(&through, &cache, load, None).await;
    assert_eq!(look(&through, &cache, "a").await, Found::Absent);
    advance(ms(5_000)).await;
    assert!(matches!(look(&through, &cache, "a").await, Found::Load(_)));
}

#[tokio::test(start_paused = true)]
async fn many_lookups_at_once_are_one_load() {
    let (through, cache) = (Rc::new(through()), Rc::new(cache()));
    let loads = Rc::new(Cell::new(0));
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (through, cache, loads) = (through.clone(), cache.clone(), loads.clone());
            local.spawn_local(async move {
                match look(&through, &cache, "a").await {
                    Found::Value(value) => value,
                    found => {
                        loads.set(loads.get() + 1);
                        sleep(ms(20)).await;
                        fill(&through, &cache, ticket(&found), Some(b"1")).await;
                        b"1".to_vec()
                    }
                }
            })
        })
        .collect();
    local.await;
    for task in tasks {
        assert_eq!(task.await.unwrap(), b"1");
    }
    assert_eq!(loads.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_waited_are_counted_as_such() {
    let (through, cache) = (through(), cache());
    let load = ticket(&look(&through, &cache, "a").await);
    let (both, ()) = tokio::join!(look_all(&through, &cache, &["a"]), async {
        sleep(ms(10)).await;
        fill(&through, &cache, load, Some(b"1")).await;
    });
    let waited = Tally {
        waited: 1,
        ..Tally::default()
    };
    assert_eq!(both, (vec![Found::Value(b"1".to_vec())], waited));
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_dies_holds_others_up_for_a_bounded_time() {
    let (through, cache) = (through(), cache());
    let dead = ticket(&look(&through, &cache, "a").await);
    let began = Instant::now();
    assert_eq!(look(&through, &cache, "a").await, Found::Load(NOT_KEPT));
    assert_eq!(began.elapsed(), ms(500));
    advance(ms(4_500)).await;
    let next = ticket(&look(&through, &cache, "a").await);
    assert_ne!(next, NOT_KEPT, "the load has lapsed: the next one loads");
    fill(&through, &cache, dead, Some(b"late")).await;
    fill(&through, &cache, next, Some(b"1")).await;
    assert_eq!(look(&through, &cache, "a").await, Found::Value(b"1".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_given_up_lets_the_next_one_load_at_once() {
    let (through, cache) = (through(), cache());
    let load = ticket(&look(&through, &cache, "a").await);
    let (next, ()) = tokio::join!(look(&through, &cache, "a"), fill_for(&through, &cache, load, None, 0));
    assert_ne!(ticket(&next), NOT_KEPT);
    fill(&through, &cache, ticket(&next), Some(b"1")).await;
    assert_eq!(look(&through, &cache, "a").await, Found::Value(b"1".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_before_a_forget_is_not_filled_in_after_it() {
    let (one, other, cache) = (through(), through(), cache());
    let load = ticket(&look(&one, &cache, "a").await);
    forget(&other, &cache, "a").await;
    fill(&one, &cache, load, Some(b"old")).await;
    let next = ticket(&look(&other, &cache, "a").await);
    assert_ne!(next, NOT_KEPT, "nothing keeps the next one from loading");
    fill(&other, &cache, next, Some(b"new")).await;
    assert_eq!(look(&one, &cache, "a").await, Found::Value(b"new".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_fill_does_not_replace_a_load_that_began_after_the_forget() {
    let (through, cache) = (through(), cache());
    let old = ticket(&look(&through, &cache, "a").await);
    forget(&through, &cache, "a").await;
    let began = Instant::now();
    let new = ticket(&look(&through, &cache, "a").await);
    assert_eq!(began.elapsed(), ms(0), "nobody waits for a load that is of no use");
    fill(&through, &cache, old, Some(b"old")).await;
    fill(&through, &cache, new, Some(b"new")).await;
    assert_eq!(look(&through, &cache, "a").await, Found::Value(b"new".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_lost_claim_means_that_a_load_is_not_kept() {
    let (through, cache) = (through(), cache());
    let load = ticket(&look(&through, &cache, "a").await);
    cache.delete("a").await.unwrap();
    fill(&through, &cache, load, Some(b"1")).await;
    assert!(matches!(look(&through, &cache, "a").await, Found::Load(_)));
}

#[tokio::test(start_paused = true)]
async fn another_node_that_loads_does_not_hold_this_one_up() {
    let (one, other, cache) = (through(), through(), cache());
    let first = ticket(&look(&one, &cache, "a").await);
    let began = Instant::now();
    let second = ticket(&look(&other, &cache, "a").await);
    assert_eq!(began.elapsed(), ms(0));
    fill(&other, &cache, second, Some(b"2")).await;
    fill(&one, &cache, first, Some(b"1")).await;
    assert_eq!(look(&other, &cache, "a").await, Found::Value(b"1".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn lookups_that_cross_do_not_wait_for_each_other() {
    let (through, cache) = (through(), cache());
    let began = Instant::now();
    let (one, _) = look_all(&through, &cache, &["a", "b"]).await;
    let (other, tally) = look_all(&through, &cache, &["b", "c", "c"]).await;
    assert_eq!(began.elapsed(), ms(0));
    assert!(one.iter().all(|found| ticket(found) != NOT_KEPT));
    assert_eq!(other.first(), Some(&Found::Load(NOT_KEPT)));
    assert_ne!(ticket(&other[1]), NOT_KEPT);
    assert_eq!(ticket(&other[2]), NOT_KEPT, "a key named twice is loaded once");
    assert_eq!(tally.miss, 2);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_of_use_to_its_caller_only() {
    let (through, cache) = (through(), cache());
    let load = ticket(&look(&through, &cache, "a").await);
    let filled = |value: &[u8]| {
        vec![Filled {
            ticket: load,
            value: Some(value.to_vec()),
            ttl_ms: 1000,
        }]
    };
    through.fill(&cache, "g", filled(b"forged")).await.unwrap();
    through.fill(&cache, "f", filled(b"1")).await.unwrap();
    through.fill(&cache, "f", filled(b"again")).await.unwrap();
    assert_eq!(look(&through, &cache, "a").await, Found::Value(b"1".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_is_dropped_leaves_nobody_waiting() {
    let (through, cache) = (through(), cache());
    {
        let mut held = Held::none(&through.flights);
        assert!(held.start("f", "a".to_owned(), 7, Instant::now() + ms(1000), 10));
    }
    let began = Instant::now();
    assert_ne!(ticket(&look(&through, &cache, "a").await), NOT_KEPT);
    assert_eq!(began.elapsed(), ms(0));
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_leaves_every_key_to_be_loaded() {
    let (through, cache) = (through(), failing_cache());
    for _ in 0..2 {
        let (found, tally) = look_all(&through, &cache, &["a", "b"]).await;
        assert_eq!(found, [Found::Load(NOT_KEPT), Found::Load(NOT_KEPT)]);
        assert!(tally.failed && tally.miss == 2);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_and_loads_are_bounded() {
    let cache = cache();
    let through = ReadThrough::new(ReadThroughSettings {
        keys_max: 3,
        loads_max: 2,
        ..ReadThroughSettings::default()
    });
    let (found, _) = look_all(&through, &cache, &["a", "b", "c"]).await;
    let kept = found.iter().filter(|found| ticket(found) != NOT_KEPT).count();
    assert_eq!(kept, 2);
    let four: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    assert!(matches!(
        through.lookup(&cache, "f", &four).await,
        Err(Fault::Invalid(_))
    ));
    advance(ms(5_000)).await;
    assert_ne!(
        ticket(&look(&through, &cache, "c").await),
        NOT_KEPT,
        "lapsed loads make room"
    );
}

#[test]
fn jitter_only_shortens_and_spreads() {
    let through = ReadThrough::new(ReadThroughSettings::default());
    let times: Vec<u64> = (0..200).map(|ticket| through.jittered(1000, ticket)).collect();
    assert!(times.iter().all(|ms| (900..=1000).contains(ms)));
    let distinct: std::collections::HashSet<_> = times.iter().collect();
    assert!(distinct.len() > 20);
    assert_eq!(through.jittered(1, 1), 1);
}
