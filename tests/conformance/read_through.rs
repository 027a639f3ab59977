//! What reading through asks of a cache, and what it promises over each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backends::read_through::ReadThrough;
use backends::redis::open_cache;
use backends::{Cache, memory};
use config::{MemoryCacheSettings, ReadThroughSettings, RedisCacheSettings, RedisServerSettings, RedisTopology};
use contract::cache::Exchange;
use contract::cache::{Filled, Found};
use tokio::task::JoinSet;

use crate::dice::Dice;
use crate::shared;
use servers::redis::Replicated;

const LONG_MS: u64 = 600_000;

fn in_redis(server: RedisServerSettings) -> Arc<Cache> {
    let settings = RedisCacheSettings {
        server,
        ..RedisCacheSettings::default()
    };
    Arc::new(Cache::Redis(open_cache(&settings).expect("settings that can be")))
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

macro_rules! on_every_backend {
    ($($case:ident),* $(,)?) => {
        on_backend!(in_memory, Arc::new(Cache::Memory(memory::Cache::new(&MemoryCacheSettings::default()))), $($case),*);
        on_backend!(redis, in_redis(shared::single_settings()), $($case),*);
        on_backend!(redis_replicated, in_redis(shared::replicated_settings()), $($case),*);
        on_backend!(redis_cluster, in_redis(shared::cluster_settings()), $($case),*);
    };
}

on_every_backend!(
    a_claim_is_made_where_nothing_is,
    an_exchange_needs_the_value_that_it_expects,
    deleted_keys_are_gone_at_once,
    of_many_claims_one_is_made,
    no_answer_is_older_than_the_last_forget,
);

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

fn text(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn entry(key: &str, value: &str) -> (String, Vec<u8>) {
    (key.to_owned(), value.as_bytes().to_vec())
}

fn exchange(key: &str, expected: &str, value: Option<&str>) -> Exchange {
    Exchange {
        key: key.to_owned(),
        expected: expected.as_bytes().to_vec(),
        value: value.map(|value| value.as_bytes().to_vec()),
        ttl_ms: LONG_MS,
    }
}

async fn a_claim_is_made_where_nothing_is(cache: Arc<Cache>) {
    cache.claim(vec![entry("a", "1")], LONG_MS).await.expect("claims");
    let claimed = cache
        .claim(vec![entry("b", "2"), entry("a", "3"), entry("c", "4")], LONG_MS)
        .await;
    assert_eq!(claimed, Ok(vec![None, text("1"), None]));
    let current = cache.current(&keys(&["c", "a", "absent", "b"])).await;
    assert_eq!(current, Ok(vec![text("4"), text("1"), None, text("2")]));
    cache.claim(vec![entry("short", "1")], 1).await.expect("claims");
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(cache.claim(vec![entry("short", "2")], LONG_MS).await, Ok(vec![None]));
}

async fn an_exchange_needs_the_value_that_it_expects(cache: Arc<Cache>) {
    cache
        .claim(vec![entry("a", "1"), entry("b", "1")], LONG_MS)
        .await
        .expect("claims");
    let made = cache.exchange(vec![
        exchange("a", "0", Some("2")),
        exchange("a", "1", Some("2")),
        exchange("b", "1", None),
        exchange("absent", "", Some("2")),
    ]);
    assert_eq!(made.await, Ok(vec![false, true, true, false]));
    let current = cache.current(&keys(&["a", "b", "absent"])).await;
    assert_eq!(current, Ok(vec![text("2"), None, None]));
}

async fn deleted_keys_are_gone_at_once(cache: Arc<Cache>) {
    for _ in 0..50 {
        cache
            .claim(vec![entry("a", "1"), entry("b", "2")], LONG_MS)
            .await
            .expect("claims");
        cache.delete_many(&keys(&["a", "absent", "b"])).await.expect("deletes");
        assert_eq!(cache.current(&keys(&["a", "b"])).await, Ok(vec![None, None]));
    }
    assert_eq!(cache.delete_many(&[]).await, Ok(()));
}

async fn of_many_claims_one_is_made(cache: Arc<Cache>) {
    let mut tasks = JoinSet::new();
    for number in 0..32 {
        let cache = Arc::clone(&cache);
        tasks.spawn(async move {
            let claim = entry("a", &number.to_string());
            cache.claim(vec![claim], LONG_MS).await.expect("claims")
        });
    }
    let made = tasks.join_all().await.into_iter().filter(|before| before[0].is_none());
    assert_eq!(made.count(), 1);
}

/// A store of one number, what forgets have promised of it, and two nodes that read it through the cache.
struct World {
    cache: Arc<Cache>,
    nodes: [ReadThrough; 2],
    committed: AtomicU64,
    promised: AtomicU64,
    hits: AtomicU64,
}

impl World {
    async fn read(&self, dice: &mut Dice) {
        let node = &self.nodes[usize::from(dice.between(0, 2) == 1)];
        let promised = self.promised.load(Ordering::SeqCst);
        let (found, _) = node.lookup(&self.cache, "f", &keys(&["n"])).await.expect("looks up");
        let answer = match &found[0] {
            Found::Value(value) => {
                self.hits.fetch_add(1, Ordering::SeqCst);
                u64::from_be_bytes(value.as_slice().try_into().expect("eight bytes"))
            }
            Found::Absent => panic!("the store has a number"),
            Found::Load(ticket) => {
                let read = self.committed.load(Ordering::SeqCst);
                dawdle(dice).await;
                let filled = Filled {
                    ticket: *ticket,
                    value: Some(read.to_be_bytes().to_vec()),
                    ttl_ms: LONG_MS,
                };
                node.fill(&self.cache, "f", vec![filled]).await.expect("fills");
                read
            }
        };
        assert!(answer >= promised, "{answer} is older than {promised}");
    }

    async fn write(&self, dice: &mut Dice) {
        let written = self.committed.fetch_add(1, Ordering::SeqCst) + 1;
        dawdle(dice).await;
        let node = &self.nodes[usize::from(dice.between(0, 2) == 1)];
        node.forget(&self.cache, &keys(&["n"])).await.expect("forgets");
        self.promised.fetch_max(written, Ordering::SeqCst);
    }
}

async fn dawdle(dice: &mut Dice) {
    for _ in 0..dice.between(0, 20) {
        tokio::task::yield_now().await;
    }
}

async fn no_answer_is_older_than_the_last_forget(cache: Arc<Cache>) {
    let world = Arc::new(World {
        cache,
        nodes: [
            ReadThrough::new(ReadThroughSettings::default()),
            ReadThrough::new(ReadThroughSettings::default()),
        ],
        committed: AtomicU64::new(0),
        promised: AtomicU64::new(0),
        hits: AtomicU64::new(0),
    });
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            let mut dice = Dice::new(task + 1);
            for _ in 0..300 {
                if dice.between(0, 20) == 0 {
                    world.write(&mut dice).await;
                } else {
                    world.read(&mut dice).await;
                }
            }
        });
    }
    tasks.join_all().await;
    assert!(world.hits.load(Ordering::SeqCst) > 200, "{:?} hits", world.hits);
}

#[test]
fn what_was_forgotten_is_not_found_at_a_replica_that_is_behind() {
    shared::run(async {
        let servers = Replicated::start();
        let cache = in_redis(shared::settings(servers.urls(), RedisTopology::Replicated));
        let node = ReadThrough::new(ReadThroughSettings::default());
        let key = keys(&["k"]);
        let look = async || node.lookup(&cache, "f", &key).await.expect("looks up").0;
        let [Found::Load(ticket)] = look().await[..] else {
            panic!("nothing is cached")
        };
        let filled = Filled {
            ticket,
            value: text("old"),
            ttl_ms: LONG_MS,
        };
        node.fill(&cache, "f", vec![filled]).await.expect("fills");
        let at_replica = async || cache.get_many(&key).await.expect("an answer")[0].is_some();
        shared::soon(true, at_replica).await;
        // From now on it hears of nothing.
        servers.replica.ask(&["REPLICAOF", "NO", "ONE"]).expect("on its own");
        node.forget(&cache, &key).await.expect("forgets");
        assert!(at_replica().await, "the replica is behind");
        assert!(matches!(look().await[..], [Found::Load(_)]));
    });
}
