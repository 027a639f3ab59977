//! What the metadata store promises: leases and locks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backends::redis::open_metadata;
use backends::{Metadata, memory};
use config::{MemoryMetadataSettings, RedisMetadataSettings, RedisServerSettings};
use contract::Fault;
use contract::metadata::Lease;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::shared::{self, soon};

const LONG_MS: u64 = 600_000;

fn in_redis(server: RedisServerSettings) -> Arc<Metadata> {
    let settings = RedisMetadataSettings {
        server,
        ..RedisMetadataSettings::default()
    };
    Arc::new(Metadata::Redis(open_metadata(&settings).expect("settings that can be")))
}

macro_rules! on_every_backend {
    ($($case:ident),* $(,)?) => {
        on_backend!(in_memory, Arc::new(Metadata::Memory(memory::Metadata::new(&MemoryMetadataSettings::default()))), $($case),*);
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
    a_lease_is_new_once_until_it_is_removed,
    a_lease_ends_with_its_time_and_is_new_again,
    a_renewed_lease_outlives_its_first_time,
    a_lease_may_be_shortened,
    one_put_may_name_a_lease_twice,
    members_come_in_the_order_of_their_bytes,
    sets_come_in_the_order_asked,
    names_of_any_text_do_not_meet,
    one_invalid_lease_writes_none,
    thousands_of_leases_go_in_one_put,
    a_lock_excludes_many_tasks,
    a_lock_is_renewed_with_its_number,
    a_lock_that_ended_goes_to_another_with_a_greater_number,
    only_the_owner_gives_a_lock_back,
    locks_of_any_name_are_apart,
    invalid_locks_are_refused,
    chance_finds_no_difference_from_sets,
);

fn lease(set: &str, member: &str, ttl_ms: u64) -> Lease {
    Lease {
        set: set.to_owned(),
        member: member.to_owned(),
        ttl_ms,
    }
}

async fn put(metadata: &Metadata, set: &str, member: &str, ttl_ms: u64) -> bool {
    let new = metadata.put(vec![lease(set, member, ttl_ms)]).await.expect("an answer");
    assert_eq!(new.len(), 1);
    new[0]
}

async fn members(metadata: &Metadata, set: &str) -> Vec<String> {
    let mut sets = metadata.members(&[set.to_owned()]).await.expect("members");
    assert_eq!(sets.len(), 1);
    sets.remove(0)
}

async fn lock(metadata: &Metadata, name: &str, owner: &str, ttl_ms: u64) -> Option<u64> {
    let taken = metadata.lock(name.to_owned(), owner.to_owned(), ttl_ms).await;
    taken.expect("an answer")
}

async fn a_lease_is_new_once_until_it_is_removed(metadata: Arc<Metadata>) {
    assert_eq!(metadata.count("s").await, Ok(0));
    assert_eq!(members(&metadata, "s").await, [""; 0]);
    assert!(put(&metadata, "s", "m", LONG_MS).await);
    assert!(!put(&metadata, "s", "m", LONG_MS).await);
    assert_eq!(members(&metadata, "s").await, ["m"]);
    assert_eq!(metadata.count("s").await, Ok(1));
    assert_eq!(metadata.remove("s", "other").await, Ok(false));
    assert_eq!(metadata.remove("s", "m").await, Ok(true));
    assert_eq!(metadata.remove("s", "m").await, Ok(false));
    assert_eq!(metadata.count("s").await, Ok(0));
    assert!(put(&metadata, "s", "m", LONG_MS).await);
    assert_eq!(metadata.put(vec![]).await, Ok(vec![]));
    assert_eq!(metadata.members(&[]).await, Ok(vec![]));
}

async fn a_lease_ends_with_its_time_and_is_new_again(metadata: Arc<Metadata>) {
    let begun = Instant::now();
    assert!(put(&metadata, "s", "short", 300).await);
    assert!(put(&metadata, "s", "long", LONG_MS).await);
    soon(Ok(1), || metadata.count("s")).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(250),
        "ended after {:?}",
        begun.elapsed()
    );
    assert_eq!(members(&metadata, "s").await, ["long"]);
    assert_eq!(metadata.remove("s", "short").await, Ok(false));
    assert!(put(&metadata, "s", "short", 100).await);
    soon(Ok(1), || metadata.count("s")).await;
    assert!(put(&metadata, "s", "short", LONG_MS).await);
    assert_eq!(metadata.count("s").await, Ok(2));
}

async fn a_renewed_lease_outlives_its_first_time(metadata: Arc<Metadata>) {
    assert!(put(&metadata, "s", "m", 150).await);
    assert!(!put(&metadata, "s", "m", LONG_MS).await);
    assert!(put(&metadata, "later", "m", 300).await);
    soon(Ok(0), || metadata.count("later")).await;
    assert_eq!(members(&metadata, "s").await, ["m"]);
    assert_eq!(metadata.remove("s", "m").await, Ok(true));
}

async fn a_lease_may_be_shortened(metadata: Arc<Metadata>) {
    assert!(put(&metadata, "s", "m", LONG_MS).await);
    assert!(put(&metadata, "s", "stays", LONG_MS).await);
    assert!(!put(&metadata, "s", "m", 100).await);
    soon(vec!["stays".to_owned()], || members(&metadata, "s")).await;
}

async fn one_put_may_name_a_lease_twice(metadata: Arc<Metadata>) {
    let twice = vec![lease("s", "m", LONG_MS), lease("t", "m", LONG_MS), lease("s", "m", 100)];
    assert_eq!(metadata.put(twice).await, Ok(vec![true, true, false]));
    soon(Ok(0), || metadata.count("s")).await;
    assert_eq!(metadata.count("t").await, Ok(1));
}

async fn members_come_in_the_order_of_their_bytes(metadata: Arc<Metadata>) {
    let mut names = [
        "b",
        "",
        "B",
        "a\0",
        "a",
        "{a}",
        "ä",
        "\u{10000}",
        "\u{ffff}",
        "z z",
        "\r\n",
        "10",
        "9",
        "я",
        "🦀",
        "ab",
        "~",
    ];
    for (n, name) in names.iter().enumerate() {
        assert!(put(&metadata, "s", name, LONG_MS + n as u64 % 3).await);
    }
    names.sort_unstable();
    assert_eq!(members(&metadata, "s").await, names);
    assert_eq!(metadata.count("s").await, Ok(names.len() as u64));
}

async fn sets_come_in_the_order_asked(metadata: Arc<Metadata>) {
    let leases = (0..40)
        .map(|n| lease(&(n % 20).to_string(), &n.to_string(), LONG_MS))
        .collect();
    assert_eq!(metadata.put(leases).await, Ok(vec![true; 40]));
    let asked = ["7", "absent", "3", "7", "19", "0"].map(str::to_owned);
    let expected: [&[&str]; 6] = [
        &["27", "7"],
        &[],
        &["23", "3"],
        &["27", "7"],
        &["19", "39"],
        &["0", "20"],
    ];
    assert_eq!(metadata.members(&asked).await.expect("members"), expected);
}

async fn names_of_any_text_do_not_meet(metadata: Arc<Metadata>) {
    let names = [
        "", "{", "}", "{}", "}{", "{a}", "{a}b", "a", "a:b", "%7D", "ä", " ", "*", "\0",
    ];
    let leases = names.iter().map(|name| lease(name, name, LONG_MS)).collect();
    assert_eq!(metadata.put(leases).await, Ok(vec![true; names.len()]));
    for name in names {
        assert_eq!(members(&metadata, name).await, [name]);
    }
}

async fn one_invalid_lease_writes_none(metadata: Arc<Metadata>) {
    let long = "x".repeat(1025);
    for bad in [lease("s", "b", 0), lease(&long, "b", 1), lease("s", &long, 1)] {
        let refused = metadata
            .put(vec![lease("s", "a", LONG_MS), bad, lease("s", "c", LONG_MS)])
            .await;
        assert!(matches!(refused, Err(Fault::Invalid(_))), "{refused:?}");
        assert_eq!(metadata.count("s").await, Ok(0));
    }
    let longest = "x".repeat(1024);
    assert!(put(&metadata, &longest, &longest, u64::MAX).await);
}

async fn thousands_of_leases_go_in_one_put(metadata: Arc<Metadata>) {
    let leases = (0..5_000)
        .map(|n| lease(&format!("set{}", n % 701), &n.to_string(), LONG_MS))
        .collect::<Vec<_>>();
    assert_eq!(metadata.put(leases.clone()).await, Ok(vec![true; 5_000]));
    assert_eq!(metadata.remove("set5", "5").await, Ok(true));
    let mut expected = vec![false; 5_000];
    expected[5] = true;
    assert_eq!(metadata.put(leases).await, Ok(expected));
    let sets = (0..701).map(|n| format!("set{n}")).collect::<Vec<_>>();
    let all = metadata.members(&sets).await.expect("members");
    for (n, members) in all.iter().enumerate() {
        let mut expected = (n..5_000).step_by(701).map(|n| n.to_string()).collect::<Vec<_>>();
        expected.sort();
        assert_eq!(*members, expected);
    }
    let one = (0..5_000).map(|n| lease("one", &n.to_string(), LONG_MS)).collect();
    assert_eq!(metadata.put(one).await, Ok(vec![true; 5_000]));
    assert_eq!(metadata.count("one").await, Ok(5_000));
}

async fn a_lock_excludes_many_tasks(metadata: Arc<Metadata>) {
    let held = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let (metadata, held) = (Arc::clone(&metadata), Arc::clone(&held));
        tasks.spawn(async move {
            let owner = task.to_string();
            let mut numbers = Vec::new();
            while numbers.len() < 5 {
                let Some(number) = lock(&metadata, "l", &owner, LONG_MS).await else {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                assert!(!held.swap(true, Ordering::SeqCst), "two have the lock");
                tokio::task::yield_now().await;
                numbers.push(number);
                held.store(false, Ordering::SeqCst);
                assert_eq!(metadata.unlock("l", &owner).await, Ok(true));
            }
            assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
            numbers
        });
    }
    let numbers = tasks.join_all().await.into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(
        numbers.iter().collect::<BTreeSet<_>>().len(),
        80,
        "no number is given twice"
    );
}

async fn a_lock_is_renewed_with_its_number(metadata: Arc<Metadata>) {
    let number = lock(&metadata, "l", "a", 200).await.expect("the lock");
    assert_eq!(lock(&metadata, "l", "a", LONG_MS).await, Some(number));
    lock(&metadata, "other", "a", 300).await.expect("the lock");
    soon(true, async || lock(&metadata, "other", "b", LONG_MS).await.is_some()).await;
    assert_eq!(lock(&metadata, "l", "b", LONG_MS).await, None);
    assert_eq!(lock(&metadata, "l", "a", LONG_MS).await, Some(number));
}

async fn a_lock_that_ended_goes_to_another_with_a_greater_number(metadata: Arc<Metadata>) {
    let begun = Instant::now();
    let first = lock(&metadata, "l", "a", 300).await.expect("the lock");
    let second = loop {
        if let Some(number) = lock(&metadata, "l", "b", LONG_MS).await {
            break number;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert!(begun.elapsed() >= Duration::from_millis(250));
    assert!(second > first, "{second} after {first}");
    assert_eq!(lock(&metadata, "l", "a", LONG_MS).await, None);
    assert_eq!(metadata.unlock("l", "a").await, Ok(false));
    assert_eq!(metadata.unlock("l", "b").await, Ok(true));
    let third = lock(&metadata, "l", "a", LONG_MS).await.expect("the lock");
    assert!(third > second, "{third} after {second}");
}

async fn only_the_owner_gives_a_lock_back(metadata: Arc<Metadata>) {
    assert_eq!(metadata.unlock("l", "a").await, Ok(false));
    lock(&metadata, "l", "a", LONG_MS).await.expect("the lock");
    assert_eq!(metadata.unlock("l", "b").await, Ok(false));
    assert_eq!(metadata.unlock("l", "").await, Ok(false));
    assert_eq!(lock(&metadata, "l", "b", LONG_MS).await, None);
    assert_eq!(metadata.unlock("l", "a").await, Ok(true));
    assert_eq!(metadata.unlock("l", "a").await, Ok(false));
    assert!(lock(&metadata, "l", "b", LONG_MS).await.is_some());
}

async fn locks_of_any_name_are_apart(metadata: Arc<Metadata>) {
    let names = [
        "", "{", "}", "{}", "}{", "{a}", "{a}b", "a", "a}", "a%7D", "%", "ä", " ", "}x", "a}:last",
    ];
    for name in names {
        assert!(lock(&metadata, name, name, LONG_MS).await.is_some(), "{name:?}");
    }
    for name in names {
        assert_eq!(lock(&metadata, name, "stranger", LONG_MS).await, None, "{name:?}");
        assert_eq!(metadata.unlock(name, name).await, Ok(true), "{name:?}");
    }
}

async fn invalid_locks_are_refused(metadata: Arc<Metadata>) {
    let long = "x".repeat(1025);
    for (name, owner, ttl_ms) in [("l", "a", 0), (&long, "a", 1), ("l", &long, 1)] {
        let refused = metadata.lock(name.to_owned(), owner.to_owned(), ttl_ms).await;
        assert!(matches!(refused, Err(Fault::Invalid(_))), "{refused:?}");
    }
    assert!(lock(&metadata, "l", "b", u64::MAX).await.is_some());
}

async fn chance_finds_no_difference_from_sets(metadata: Arc<Metadata>) {
    let mut dice = Dice::thrown("metadata against sets");
    let mut model = BTreeSet::<(String, String)>::new();
    let mut owners = [const { None::<(u64, u64)> }; 3];
    let mut last = [0; 3];
    for _ in 0..400 {
        let set = dice.between(0, 4).to_string();
        let member = dice.between(0, 6).to_string();
        let lock_no = dice.between(0, 3) as usize;
        let owner = dice.between(0, 3);
        match dice.between(0, 6) {
            0 => {
                let wanted = (0..dice.between(0, 8))
                    .map(|_| {
                        lease(
                            &dice.between(0, 4).to_string(),
                            &dice.between(0, 6).to_string(),
                            LONG_MS,
                        )
                    })
                    .collect::<Vec<_>>();
                let new = wanted
                    .iter()
                    .map(|lease| model.insert((lease.set.clone(), lease.member.clone())));
                let new = new.collect::<Vec<_>>();
                assert_eq!(metadata.put(wanted).await, Ok(new));
            }
            1 => {
                let alive = model.remove(&(set.clone(), member.clone()));
                assert_eq!(metadata.remove(&set, &member).await, Ok(alive));
            }
            2 => {
                let sets = (0..4).map(|set| set.to_string()).collect::<Vec<_>>();
                let of = |set: &String| {
                    model
                        .iter()
                        .filter(|(of, _)| of == set)
                        .map(|(_, member)| member.clone())
                        .collect()
                };
                let expected = sets.iter().map(of).collect::<Vec<Vec<_>>>();
                assert_eq!(metadata.members(&sets).await, Ok(expected));
            }
            3 => {
                let count = model.iter().filter(|(of, _)| *of == set).count();
                assert_eq!(metadata.count(&set).await, Ok(count as u64));
            }
            4 => {
                let number = lock(&metadata, &lock_no.to_string(), &owner.to_string(), LONG_MS).await;
                match owners[lock_no] {
                    Some((has, expected)) => assert_eq!(number, (has == owner).then_some(expected)),
                    None => {
                        let number = number.expect("a lock that is free");
                        assert!(number > last[lock_no]);
                        last[lock_no] = number;
                        owners[lock_no] = Some((owner, number));
                    }
                }
            }
            _ => {
                let had = owners[lock_no].take_if(|(has, _)| *has == owner).is_some();
                assert_eq!(metadata.unlock(&lock_no.to_string(), &owner.to_string()).await, Ok(had));
            }
        }
    }
}
