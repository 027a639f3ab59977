//! What a cache promises of lists, and of keys that hold the other kind of value.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use backends::{Cache, memory};
use config::MemoryCacheSettings;
use contract::Fault;
use contract::cache::{Bounds, End, Exchange, Refusal, span};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{LONG_MS, in_redis, increment, is, is_absent, set};
use crate::dice::Dice;
use crate::shared::{self, soon};

on_every_backend!(
    a_list_grows_at_both_ends,
    a_range_counts_from_either_end,
    any_bytes_are_a_value_of_a_list,
    what_is_absent_is_an_empty_list,
    the_other_kind_is_told_and_stays,
    either_kind_exists,
    a_list_has_a_greatest_length,
    a_value_of_a_list_has_a_greatest_size,
    a_push_without_time_is_invalid_and_much_time_is_not,
    a_list_ends_with_the_time_of_its_first_push,
    a_list_that_ended_begins_again,
    pushes_of_many_tasks_are_whole_and_none_is_lost,
    chance_finds_no_difference_from_a_map_of_both_kinds,
);

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

async fn push(cache: &Cache, end: End, key: &str, values: &[&str]) -> Result<u64, Fault> {
    cache.push(end, key.to_owned(), bytes(values), LONG_MS).await
}

async fn has(cache: &Cache, key: &str, values: &[&str]) {
    soon(Ok(bytes(values)), || cache.range(key, 0, -1)).await;
}

fn refused<T>(refusal: Refusal) -> Result<T, Fault> {
    Err(refusal.into())
}

async fn a_list_grows_at_both_ends(cache: Arc<Cache>) {
    assert_eq!(push(&cache, End::Right, "l", &["a", "b"]).await, Ok(2));
    assert_eq!(push(&cache, End::Left, "l", &["c", "d"]).await, Ok(4));
    has(&cache, "l", &["d", "c", "a", "b"]).await;
    assert_eq!(push(&cache, End::Left, "l", &["e"]).await, Ok(5));
    assert_eq!(push(&cache, End::Right, "l", &["e"]).await, Ok(6));
    has(&cache, "l", &["e", "d", "c", "a", "b", "e"]).await;
    assert_eq!(push(&cache, End::Left, "{other}", &["x"]).await, Ok(1));
    assert_eq!(cache.delete("l").await, Ok(()));
    has(&cache, "l", &[]).await;
    has(&cache, "{other}", &["x"]).await;
}

async fn a_range_counts_from_either_end(cache: Arc<Cache>) {
    let all = ["0", "1", "2", "3", "4"];
    assert_eq!(push(&cache, End::Right, "l", &all).await, Ok(5));
    has(&cache, "l", &all).await;
    let indexes = [i64::MIN, -7, -6, -5, -4, -1, 0, 1, 3, 4, 5, 9, i64::MAX];
    for start in indexes {
        for stop in indexes {
            let expected = bytes(&all[span(start, stop, all.len())]);
            soon(Ok(expected), || cache.range("l", start, stop)).await;
        }
    }
}

async fn any_bytes_are_a_value_of_a_list(cache: Arc<Cache>) {
    let values = vec![
        (0..=255).collect::<Vec<u8>>(),
        vec![],
        b"\r\n$-1\r\n".to_vec(),
        vec![255; 8 * 1024],
    ];
    for key in ["", "a b\r\nc", "{}", "}{x}", "🦀"] {
        let pushed = cache.push(End::Right, key.to_owned(), values.clone(), LONG_MS).await;
        assert_eq!(pushed, Ok(4), "{key:?}");
        soon(Ok(values.clone()), || cache.range(key, 0, -1)).await;
    }
}

async fn what_is_absent_is_an_empty_list(cache: Arc<Cache>) {
    assert_eq!(cache.range("l", 0, -1).await, Ok(vec![]));
    for end in [End::Left, End::Right] {
        assert_eq!(push(&cache, end, "l", &[]).await, refused(Refusal::NothingToPush));
    }
    assert_eq!(cache.exists("l").await, Ok(false));
}

async fn the_other_kind_is_told_and_stays(cache: Arc<Cache>) {
    set(&cache, "text", "x").await;
    assert_eq!(increment(&cache, "counter", 7).await, Ok(7));
    for (key, value) in [("text", "x"), ("counter", "7")] {
        for end in [End::Left, End::Right] {
            assert_eq!(push(&cache, end, key, &["y"]).await, refused(Refusal::OtherKind));
        }
        soon(refused(Refusal::OtherKind), || cache.range(key, 0, -1)).await;
        is(&cache, key, value).await;
    }
    assert_eq!(push(&cache, End::Right, "list", &["1"]).await, Ok(1));
    soon(refused(Refusal::OtherKind), || cache.get("list")).await;
    assert_eq!(increment(&cache, "list", 1).await, refused(Refusal::OtherKind));
    let less = cache.decrement("list".to_owned(), 1, LONG_MS).await;
    assert_eq!(less, refused(Refusal::OtherKind));
    let claimed = cache.claim(vec![("list".to_owned(), vec![1])], LONG_MS).await;
    assert_eq!(claimed, refused(Refusal::OtherKind));
    let exchange = Exchange {
        key: "list".to_owned(),
        expected: vec![1],
        value: None,
        ttl_ms: LONG_MS,
    };
    assert_eq!(cache.exchange(vec![exchange]).await, refused(Refusal::OtherKind));
    let keys = ["text", "list", "counter"].map(str::to_owned);
    let expected = vec![Some(b"x".to_vec()), None, Some(b"7".to_vec())];
    soon(Ok(expected.clone()), || cache.get_many(&keys)).await;
    assert_eq!(cache.current(&keys).await, Ok(expected));
    has(&cache, "list", &["1"]).await;
    set(&cache, "list", "now bytes").await;
    is(&cache, "list", "now bytes").await;
    assert_eq!(cache.delete("text").await, Ok(()));
    assert_eq!(push(&cache, End::Left, "text", &["z"]).await, Ok(1));
    has(&cache, "text", &["z"]).await;
}

async fn either_kind_exists(cache: Arc<Cache>) {
    assert_eq!(cache.exists("k").await, Ok(false));
    set(&cache, "k", "").await;
    assert_eq!(push(&cache, End::Left, "l", &[""]).await, Ok(1));
    assert_eq!(cache.set("short".to_owned(), vec![1], 200).await, Ok(()));
    for key in ["k", "l"] {
        soon(Ok(true), || cache.exists(key)).await;
        assert_eq!(cache.delete(key).await, Ok(()));
        soon(Ok(false), || cache.exists(key)).await;
    }
    soon(Ok(false), || cache.exists("short")).await;
}

async fn a_list_has_a_greatest_length(cache: Arc<Cache>) {
    let max = Bounds::default().list_length_max;
    let full = refused(Refusal::ListFull(max));
    let many = |count| {
        (0..count)
            .map(|n: usize| n.to_string().into_bytes())
            .collect::<Vec<_>>()
    };
    let push = async |end, key: &str, count| cache.push(end, key.to_owned(), many(count), LONG_MS).await;
    assert_eq!(push(End::Right, "l", max + 1).await, full);
    assert_eq!(cache.exists("l").await, Ok(false));
    assert_eq!(push(End::Right, "l", max - 1).await, Ok(max as u64 - 1));
    for end in [End::Left, End::Right] {
        assert_eq!(push(end, "l", 2).await, full, "all or none");
    }
    assert_eq!(push(End::Left, "l", 1).await, Ok(max as u64));
    assert_eq!(push(End::Left, "l", 1).await, full);
    soon(Ok::<_, Fault>(max), async || Ok(cache.range("l", 0, -1).await?.len())).await;
    assert_eq!(cache.delete("l").await, Ok(()));
    assert_eq!(push(End::Left, "l", 1).await, Ok(1));
}

async fn a_value_of_a_list_has_a_greatest_size(cache: Arc<Cache>) {
    let max = Bounds::default().list_value_bytes_max;
    let values = |bytes| vec![vec![1], vec![7; bytes]];
    let pushed = cache.push(End::Right, "l".to_owned(), values(max + 1), LONG_MS).await;
    assert_eq!(pushed, refused(Refusal::ValueTooLarge(max)));
    assert_eq!(cache.exists("l").await, Ok(false));
    let pushed = cache.push(End::Right, "l".to_owned(), values(max), LONG_MS).await;
    assert_eq!(pushed, Ok(2));
    let max = Bounds::default().entry_bytes_max;
    let pushed = push(&cache, End::Left, &"k".repeat(max + 1), &["x"]).await;
    assert_eq!(pushed, refused(Refusal::TooLarge(max)));
}

async fn a_push_without_time_is_invalid_and_much_time_is_not(cache: Arc<Cache>) {
    for end in [End::Left, End::Right] {
        let pushed = cache.push(end, "l".to_owned(), bytes(&["x"]), 0).await;
        assert!(matches!(pushed, Err(Fault::Invalid(_))), "{pushed:?}");
        assert_eq!(cache.exists("l").await, Ok(false));
    }
    let pushed = cache.push(End::Left, "l".to_owned(), bytes(&["x"]), u64::MAX).await;
    assert_eq!(pushed, Ok(1));
    has(&cache, "l", &["x"]).await;
    let none = cache.decrement("n".to_owned(), 1, 0).await;
    assert!(matches!(none, Err(Fault::Invalid(_))), "{none:?}");
    is_absent(&cache, "n").await;
}

async fn a_list_ends_with_the_time_of_its_first_push(cache: Arc<Cache>) {
    let begun = Instant::now();
    let first = cache.push(End::Right, "l".to_owned(), bytes(&["0"]), 400).await;
    assert_eq!(first, Ok(1));
    let mut last = 1;
    loop {
        let length = push(&cache, End::Right, "l", &["more"]).await.expect("a length");
        if length == 1 {
            break;
        }
        assert_eq!(length, last + 1);
        last = length;
        assert!(begun.elapsed() < Duration::from_secs(10), "later pushes prolong it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(350),
        "ended after {:?}",
        begun.elapsed()
    );
}

async fn a_list_that_ended_begins_again(cache: Arc<Cache>) {
    let pushed = cache.push(End::Right, "l".to_owned(), bytes(&["old"]), 200).await;
    assert_eq!(pushed, Ok(1));
    soon(Ok(false), || cache.exists("l")).await;
    has(&cache, "l", &[]).await;
    set(&cache, "l", "bytes").await;
    is(&cache, "l", "bytes").await;
    assert_eq!(cache.delete("l").await, Ok(()));
    assert_eq!(push(&cache, End::Left, "l", &["new"]).await, Ok(1));
    has(&cache, "l", &["new"]).await;
}

/// Each value says who pushed it, in which push, and where in that.
async fn pushes_of_many_tasks_are_whole_and_none_is_lost(cache: Arc<Cache>) {
    let mut dice = Dice::thrown("pushes of many tasks");
    let mut tasks = JoinSet::new();
    let mut total = 0;
    for task in 0..16 {
        let pushes: Vec<(End, u64)> = (0..12)
            .map(|_| {
                let end = [End::Left, End::Right][dice.between(0, 2) as usize];
                (end, dice.between(1, 6))
            })
            .collect();
        total += pushes.iter().map(|(_, size)| size).sum::<u64>();
        let cache = Arc::clone(&cache);
        tasks.spawn(async move {
            let mut lengths = Vec::new();
            for (number, (end, size)) in pushes.into_iter().enumerate() {
                let values = (0..size).map(|at| format!("{task} {number} {at} {size} {end:?}").into_bytes());
                let length = cache.push(end, "l".to_owned(), values.collect(), LONG_MS).await;
                lengths.push((length.expect("a length"), size));
            }
            lengths
        });
    }
    // Each push has seen a length that no other has, and together they are all lengths.
    let lengths: BTreeSet<_> = tasks.join_all().await.into_iter().flatten().collect();
    let mut last = 0;
    for (length, size) in lengths {
        assert_eq!(length, last + size);
        last = length;
    }
    assert_eq!(last, total);
    soon(Ok::<_, Fault>(total as usize), async || {
        Ok(cache.range("l", 0, -1).await?.len())
    })
    .await;
    let list = cache.range("l", 0, -1).await.expect("a list");
    let mut seen = BTreeSet::new();
    let mut at = 0;
    while at < list.len() {
        let text = String::from_utf8(list[at].clone()).expect("text");
        let words: Vec<&str> = text.split(' ').collect();
        let size: usize = words[3].parse().expect("a number");
        assert!(seen.insert((words[0].to_owned(), words[1].to_owned())), "{text} twice");
        for (index, value) in list[at..at + size].iter().enumerate() {
            let index = if words[4] == "Left" { size - 1 - index } else { index };
            let expected = format!("{} {} {index} {size} {}", words[0], words[1], words[4]);
            assert_eq!(String::from_utf8_lossy(value), expected, "a push is whole");
        }
        at += size;
    }
    assert_eq!(seen.len(), 16 * 12);
}

#[derive(Debug, Clone, PartialEq)]
enum Kept {
    Bytes(Vec<u8>),
    List(VecDeque<Vec<u8>>),
}

async fn chance_finds_no_difference_from_a_map_of_both_kinds(cache: Arc<Cache>) {
    let mut dice = Dice::thrown("cache of both kinds against a map");
    let mut model = BTreeMap::<String, Kept>::new();
    for _ in 0..500 {
        let key = ["a", "{b}", "c"][dice.between(0, 3) as usize].to_owned();
        match dice.between(0, 8) {
            0 => {
                let value = dice.between(0, 100).to_string().into_bytes();
                set(&cache, &key, value.clone()).await;
                model.insert(key, Kept::Bytes(value));
            }
            1 => {
                assert_eq!(cache.delete(&key).await, Ok(()));
                model.remove(&key);
            }
            2 => {
                let by = dice.between(0, 9) as i64;
                let before = match model.get(&key) {
                    None => Some(0),
                    Some(Kept::Bytes(value)) => super::canonical(value),
                    Some(Kept::List(_)) => None,
                };
                let difference = before.map(|before| before - by);
                let answer = cache.decrement(key.clone(), by, LONG_MS).await;
                assert_eq!(answer.ok(), difference);
                if let Some(difference) = difference {
                    model.insert(key, Kept::Bytes(difference.to_string().into_bytes()));
                }
            }
            3..=5 => {
                let end = [End::Left, End::Right][dice.between(0, 2) as usize];
                let count = dice.between(1, 5);
                let values: Vec<Vec<u8>> = (0..count).map(|_| dice.next().to_le_bytes().to_vec()).collect();
                let pushed = cache.push(end, key.clone(), values.clone(), LONG_MS).await;
                match model.entry(key).or_insert_with(|| Kept::List(VecDeque::new())) {
                    Kept::Bytes(_) => assert_eq!(pushed, refused(Refusal::OtherKind)),
                    Kept::List(list) => {
                        for value in values {
                            match end {
                                End::Left => list.push_front(value),
                                End::Right => list.push_back(value),
                            }
                        }
                        assert_eq!(pushed, Ok(list.len() as u64));
                    }
                }
            }
            6 => {
                let (start, stop) = (dice.between(0, 30) as i64 - 15, dice.between(0, 30) as i64 - 15);
                let expected = match model.get(&key) {
                    None => Ok(vec![]),
                    Some(Kept::Bytes(_)) => refused(Refusal::OtherKind),
                    Some(Kept::List(list)) => Ok(list.range(span(start, stop, list.len())).cloned().collect()),
                };
                soon(expected, || cache.range(&key, start, stop)).await;
            }
            _ => {
                let expected = match model.get(&key) {
                    None => Ok(None),
                    Some(Kept::Bytes(value)) => Ok(Some(value.clone())),
                    Some(Kept::List(_)) => refused(Refusal::OtherKind),
                };
                soon(expected, || cache.get(&key)).await;
                soon(Ok(model.contains_key(&key)), || cache.exists(&key)).await;
            }
        }
    }
}
