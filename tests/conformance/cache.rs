//! What a cache promises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backends::redis::open_cache;
use backends::{Cache, memory};
use config::{MemoryCacheSettings, RedisCacheSettings, RedisServerSettings};
use contract::Fault;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::shared::{self, soon};

const LONG_MS: u64 = 600_000;

fn in_redis(server: RedisServerSettings) -> Arc<Cache> {
    let settings = RedisCacheSettings {
        server,
        ..RedisCacheSettings::default()
    };
    Arc::new(Cache::Redis(open_cache(&settings).expect("settings that can be")))
}

macro_rules! on_every_backend {
    ($($case:ident),* $(,)?) => {
        on_backend!(in_memory, Arc::new(Cache::Memory(memory::Cache::new(&MemoryCacheSettings::default()))), $($case),*);
        on_backend!(redis, in_redis(shared::single_settings()), $($case),*);
        on_backend!(redis_replicated, in_redis(shared::replicated_settings()), $($case),*);
        on_backend!(redis_cluster, in_redis(shared::cluster_settings()), $($case),*);
    };
}

macro_rules! on_backend {
    ($backend:ident, $made:expr, $($case:ident),*) => {
        mod $backend {
            use super::*;
            $(
                #[test]
                fn $case() {
                    shared::run(async { super::$case($made).await });
                }
            )*
        }
    };
}

on_every_backend!(
    a_value_is_had_until_it_is_replaced_or_deleted,
    any_bytes_are_a_value_and_any_text_a_key,
    many_are_answered_in_the_order_asked,
    many_thousands_are_answered_in_the_order_asked,
    a_value_ends_with_its_time,
    setting_again_begins_its_time_again,
    no_time_is_invalid_and_much_time_is_not,
    what_is_too_large_is_invalid_and_changes_nothing,
    a_counter_counts_from_nothing_and_back,
    a_counter_is_text_and_text_may_be_a_counter,
    what_is_no_counter_is_invalid,
    a_counter_does_not_overflow,
    a_counter_is_decremented,
    many_tasks_count_at_once,
    a_counter_ends_with_the_time_of_its_first_add,
    chance_finds_no_difference_from_a_map,
);

mod lists;

async fn get(cache: &Cache, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    cache.get(key).await
}

async fn set(cache: &Cache, key: &str, value: impl Into<Vec<u8>>) {
    let done = cache.set(key.to_owned(), value.into(), LONG_MS).await;
    assert_eq!(done, Ok(()));
}

async fn is(cache: &Cache, key: &str, value: impl Into<Vec<u8>>) {
    let value = value.into();
    soon(Ok(Some(value)), || get(cache, key)).await;
}

async fn is_absent(cache: &Cache, key: &str) {
    soon(Ok(None), || get(cache, key)).await;
}

async fn increment(cache: &Cache, key: &str, by: i64) -> Result<i64, Fault> {
    cache.increment(key.to_owned(), by, LONG_MS).await
}

async fn a_value_is_had_until_it_is_replaced_or_deleted(cache: Arc<Cache>) {
    is_absent(&cache, "k").await;
    set(&cache, "k", "one").await;
    is(&cache, "k", "one").await;
    set(&cache, "k", "two").await;
    is(&cache, "k", "two").await;
    assert_eq!(cache.delete("k").await, Ok(()));
    is_absent(&cache, "k").await;
    assert_eq!(cache.delete("k").await, Ok(()));
}

async fn any_bytes_are_a_value_and_any_text_a_key(cache: Arc<Cache>) {
    let all = (0..=255).collect::<Vec<u8>>();
    for key in [
        "", " ", "a b\r\nc", "{}", "{a}{b}", "}{", "}{x}", "ключ", "🦀", "*", "a\0b",
    ] {
        for value in [&all[..], b"", b"\r\n", b"$-1\r\n"] {
            set(&cache, key, value).await;
            is(&cache, key, value).await;
        }
    }
}

async fn many_are_answered_in_the_order_asked(cache: Arc<Cache>) {
    set(&cache, "a", "1").await;
    set(&cache, "b", "2").await;
    set(&cache, "{c}", "").await;
    let keys = ["b", "absent", "a", "{c}", "b", "absent", "a"].map(str::to_owned);
    let expected = [Some("2"), None, Some("1"), Some(""), Some("2"), None, Some("1")];
    let expected = expected
        .map(|value| value.map(|value| value.as_bytes().to_vec()))
        .to_vec();
    soon(Ok(expected), || cache.get_many(&keys)).await;
    assert_eq!(cache.get_many(&[]).await, Ok(vec![]));
}

async fn many_thousands_are_answered_in_the_order_asked(cache: Arc<Cache>) {
    let keys = (0..2_500).map(|n| n.to_string()).collect::<Vec<_>>();
    let mut sets = JoinSet::new();
    for key in keys.iter().step_by(3) {
        let (cache, key) = (Arc::clone(&cache), key.clone());
        sets.spawn(async move { set(&cache, &key, key.as_bytes()).await });
    }
    sets.join_all().await;
    let expected = keys
        .iter()
        .enumerate()
        .map(|(n, key)| (n % 3 == 0).then(|| key.as_bytes().to_vec()));
    let expected = expected.collect::<Vec<_>>();
    soon(Ok(expected), || cache.get_many(&keys)).await;
}

async fn a_value_ends_with_its_time(cache: Arc<Cache>) {
    let begun = Instant::now();
    assert_eq!(cache.set("k".to_owned(), vec![1], 300).await, Ok(()));
    set(&cache, "other", "stays").await;
    is_absent(&cache, "k").await;
    assert!(
        begun.elapsed() >= Duration::from_millis(250),
        "ended after {:?}",
        begun.elapsed()
    );
    is(&cache, "other", "stays").await;
}

async fn setting_again_begins_its_time_again(cache: Arc<Cache>) {
    assert_eq!(cache.set("k".to_owned(), vec![1], 100).await, Ok(()));
    set(&cache, "k", [2]).await;
    assert_eq!(cache.set("end".to_owned(), vec![1], 300).await, Ok(()));
    is_absent(&cache, "end").await;
    is(&cache, "k", [2]).await;
}

async fn no_time_is_invalid_and_much_time_is_not(cache: Arc<Cache>) {
    let none = Err(Fault::Invalid("a time to live of 0 is no life".to_owned()));
    assert_eq!(cache.set("k".to_owned(), vec![], 0).await, none);
    assert_eq!(cache.increment("k".to_owned(), 1, 0).await.map(|_| ()), none);
    is_absent(&cache, "k").await;
    assert_eq!(cache.set("k".to_owned(), vec![7], u64::MAX).await, Ok(()));
    is(&cache, "k", [7]).await;
    assert_eq!(cache.increment("n".to_owned(), 1, u64::MAX).await, Ok(1));
}

async fn what_is_too_large_is_invalid_and_changes_nothing(cache: Arc<Cache>) {
    let max = 1024 * 1024;
    let too_large = Err(Fault::Invalid(format!("a key with its value has at most {max} bytes")));
    set(&cache, "k", vec![7; max - 1]).await;
    assert_eq!(cache.set("k".to_owned(), vec![8; max], LONG_MS).await, too_large);
    is(&cache, "k", vec![7; max - 1]).await;
    let key = "k".repeat(max + 1);
    assert_eq!(increment(&cache, &key, 1).await.map(|_| ()), too_large);
}

async fn a_counter_counts_from_nothing_and_back(cache: Arc<Cache>) {
    assert_eq!(increment(&cache, "n", 5).await, Ok(5));
    assert_eq!(increment(&cache, "n", -7).await, Ok(-2));
    assert_eq!(increment(&cache, "n", 0).await, Ok(-2));
    assert_eq!(increment(&cache, "zero", 0).await, Ok(0));
    assert_eq!(increment(&cache, "least", i64::MIN).await, Ok(i64::MIN));
    assert_eq!(increment(&cache, "most", i64::MAX).await, Ok(i64::MAX));
    assert_eq!(increment(&cache, "most", -1).await, Ok(i64::MAX - 1));
}

async fn a_counter_is_text_and_text_may_be_a_counter(cache: Arc<Cache>) {
    assert_eq!(increment(&cache, "n", -12).await, Ok(-12));
    is(&cache, "n", "-12").await;
    set(&cache, "m", "41").await;
    assert_eq!(increment(&cache, "m", 1).await, Ok(42));
}

async fn what_is_no_counter_is_invalid(cache: Arc<Cache>) {
    let no_counter = Err(Fault::Invalid("the value of this key is no counter".to_owned()));
    for value in [
        "",
        "x",
        " 1",
        "1 ",
        "+1",
        "01",
        "-0",
        "1.0",
        "9223372036854775808",
        "\u{661}",
    ] {
        set(&cache, "k", value).await;
        assert_eq!(increment(&cache, "k", 1).await, no_counter, "{value:?}");
        is(&cache, "k", value).await;
    }
}

async fn a_counter_does_not_overflow(cache: Arc<Cache>) {
    let overflow = Err(Fault::Invalid("the counter would overflow".to_owned()));
    for (most, by) in [(i64::MAX, 1), (i64::MIN, -1), (i64::MAX, i64::MAX), (-2, i64::MIN)] {
        assert_eq!(cache.delete("n").await, Ok(()));
        assert_eq!(increment(&cache, "n", most).await, Ok(most));
        assert_eq!(increment(&cache, "n", by).await, overflow);
        is(&cache, "n", most.to_string()).await;
    }
}

async fn a_counter_is_decremented(cache: Arc<Cache>) {
    let decrement = async |by| cache.decrement("n".to_owned(), by, LONG_MS).await;
    assert_eq!(decrement(5).await, Ok(-5));
    assert_eq!(decrement(-7).await, Ok(2));
    assert_eq!(increment(&cache, "n", 1).await, Ok(3));
    is(&cache, "n", "3").await;
    let overflow = Err(Fault::Invalid("the counter would overflow".to_owned()));
    assert_eq!(decrement(i64::MIN).await, overflow, "it has no negative");
    assert_eq!(decrement(i64::MAX).await, Ok(3 - i64::MAX));
    assert_eq!(decrement(i64::MAX).await, overflow);
    is(&cache, "n", (3 - i64::MAX).to_string()).await;
}

async fn many_tasks_count_at_once(cache: Arc<Cache>) {
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let cache = Arc::clone(&cache);
        tasks.spawn(async move {
            let mut sums = Vec::new();
            for _ in 0..20 {
                sums.push(increment(&cache, "n", 1).await.expect("a sum"));
            }
            sums
        });
    }
    let mut sums = tasks.join_all().await.into_iter().flatten().collect::<Vec<_>>();
    sums.sort_unstable();
    assert_eq!(sums, (1..=1000).collect::<Vec<_>>());
}

async fn a_counter_ends_with_the_time_of_its_first_add(cache: Arc<Cache>) {
    let begun = Instant::now();
    assert_eq!(cache.increment("n".to_owned(), 1, 400).await, Ok(1));
    let mut last = 1;
    loop {
        let sum = increment(&cache, "n", 1).await.expect("a sum");
        if sum == 1 {
            break;
        }
        assert_eq!(sum, last + 1);
        last = sum;
        assert!(begun.elapsed() < Duration::from_secs(10), "later adds prolong it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(350));
}

async fn chance_finds_no_difference_from_a_map(cache: Arc<Cache>) {
    let mut dice = Dice::thrown("cache against a map");
    let mut model = BTreeMap::<String, Vec<u8>>::new();
    for _ in 0..600 {
        let key = ["a", "b", "{c}", "d}", ""][dice.between(0, 5) as usize].to_owned();
        match dice.between(0, 6) {
            0 | 1 => {
                let value = match dice.between(0, 3) {
                    0 => dice.between(0, 100).to_string().into_bytes(),
                    1 => dice.next().to_le_bytes().to_vec(),
                    _ => Vec::new(),
                };
                set(&cache, &key, value.clone()).await;
                model.insert(key, value);
            }
            2 => {
                assert_eq!(cache.delete(&key).await, Ok(()));
                model.remove(&key);
            }
            3 | 4 => {
                let by = dice.next() as i64 >> dice.between(0, 64);
                let before = model.get(&key).map_or(Some(0), |value| canonical(value));
                let sum = before.and_then(|before| before.checked_add(by));
                assert_eq!(increment(&cache, &key, by).await.ok(), sum);
                if let Some(sum) = sum {
                    model.insert(key, sum.to_string().into_bytes());
                }
            }
            _ => {
                let keys = ["", "a", "b", "{c}", "d}", "b"].map(str::to_owned);
                let expected = keys.iter().map(|key| model.get(key).cloned()).collect::<Vec<_>>();
                soon(Ok(expected), || cache.get_many(&keys)).await;
            }
        }
    }
}

fn canonical(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}
