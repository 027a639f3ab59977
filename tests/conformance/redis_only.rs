//! What a Redis may do to those who use it: die, freeze, fill up, forget, refuse. Each test hurts servers of its own.

use std::time::Duration;

use backends::redis::{Cache, Link, Metadata, open_cache, open_metadata};
use config::{RedisCacheSettings, RedisMetadataSettings, RedisServerSettings, RedisTopology};
use contract::Fault;
use contract::metadata::Lease;
use tokio::time::Instant;

use crate::shared::{run, soon};
use servers::redis::{Cluster, Redis, Replicated};

const LONG_MS: u64 = 600_000;
/// What a call may take at most.
const TIMEOUT_MS: u64 = 400;
/// What a machine that is busy may add to it.
const SLACK: Duration = Duration::from_millis(400);

fn settings(urls: Vec<String>, topology: RedisTopology) -> RedisServerSettings {
    RedisServerSettings {
        urls,
        topology,
        response_timeout_ms: TIMEOUT_MS,
        connect_timeout_ms: TIMEOUT_MS,
        ..RedisServerSettings::default()
    }
}

fn cache_of(settings: &RedisServerSettings) -> Cache {
    let settings = RedisCacheSettings {
        server: settings.clone(),
        ..RedisCacheSettings::default()
    };
    open_cache(&settings).expect("settings that can be")
}

fn cache(server: &Redis) -> Cache {
    cache_of(&settings(vec![server.url()], RedisTopology::Single))
}

fn metadata(server: &Redis) -> Metadata {
    let settings = RedisMetadataSettings {
        server: settings(vec![server.url()], RedisTopology::Single),
        ..RedisMetadataSettings::default()
    };
    open_metadata(&settings).expect("settings that can be")
}

fn lease(set: &str, member: &str, ttl_ms: u64) -> Lease {
    Lease {
        set: set.to_owned(),
        member: member.to_owned(),
        ttl_ms,
    }
}

/// What a call gives, and that it ends in time.
async fn in_time<T>(call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let begun = Instant::now();
    let answer = call.await;
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(TIMEOUT_MS) + SLACK, "a call took {took:?}");
    answer
}

#[test]
fn a_killed_server_fails_fast_and_is_used_again_when_it_is_back() {
    run(async {
        let mut server = Redis::start();
        let cache = cache(&server);
        assert_eq!(cache.set("k", b"v", LONG_MS).await, Ok(()));
        for _ in 0..3 {
            server.kill();
            soon(true, async || {
                matches!(cache.get("k").await, Err(Fault::Unavailable(_)))
            })
            .await;
            let begun = Instant::now();
            for _ in 0..200 {
                let refused = cache.set("k", b"v", LONG_MS).await;
                assert!(matches!(refused, Err(Fault::Unavailable(_))), "{refused:?}");
            }
            assert!(begun.elapsed() < SLACK, "200 calls took {:?}", begun.elapsed());
            server.restart();
            let back = Instant::now();
            soon(Ok(None), || cache.get("k")).await;
            assert!(
                back.elapsed() < Duration::from_secs(1),
                "used again after {:?}",
                back.elapsed()
            );
            // From then on every connection works: one that was found broken is not met later.
            for _ in 0..20 {
                soon(Ok(()), || cache.set("k", b"v", LONG_MS)).await;
            }
        }
    });
}

#[test]
fn a_server_that_was_restarted_while_nobody_asked_costs_no_call() {
    run(async {
        let mut server = Redis::start();
        let metadata = metadata(&server);
        assert_eq!(metadata.put(vec![lease("s", "m", LONG_MS)]).await, Ok(vec![true]));
        server.restart();
        soon(true, async || clients(&server) == 2).await;
        for n in 0..10 {
            let new = metadata.put(vec![lease("s", "m", LONG_MS)]).await;
            assert_eq!(new, Ok(vec![n == 0]), "also the script is unknown at first");
        }
    });
}

/// Connections of the library, without those of the test.
fn clients(server: &Redis) -> usize {
    let list = server.ask(&["CLIENT", "LIST"]).expect("the clients");
    list.lines().filter(|line| line.contains("resp=3")).count()
}

#[test]
fn a_frozen_server_costs_a_call_no_more_than_its_time() {
    run(async {
        let server = Redis::start();
        let (cache, metadata) = (cache(&server), metadata(&server));
        assert_eq!(cache.set("k", b"v", LONG_MS).await, Ok(()));
        for _ in 0..2 {
            server.freeze();
            for _ in 0..4 {
                let (got, counted, locked) = tokio::join!(
                    in_time(cache.get("k")),
                    in_time(cache.increment("n", 1, LONG_MS)),
                    in_time(metadata.lock("l", "a", LONG_MS)),
                );
                assert!(got.is_err_and(|fault| fault.is_retryable()));
                assert!(counted.is_err_and(|fault| fault.is_retryable()));
                assert!(locked.is_err_and(|fault| fault.is_retryable()));
            }
            server.thaw();
            let back = Instant::now();
            soon(Ok(Some(b"v".to_vec())), || cache.get("k")).await;
            soon(true, async || {
                matches!(metadata.lock("l", "a", LONG_MS).await, Ok(Some(_)))
            })
            .await;
            assert!(back.elapsed() < Duration::from_millis(TIMEOUT_MS) + Duration::from_secs(1));
        }
    });
}

#[test]
fn a_caller_that_gives_up_leaves_a_connection_that_others_can_use() {
    run(async {
        let server = Redis::start();
        let mut settings = settings(vec![server.url()], RedisTopology::Single);
        settings.connections = 1;
        let cache = cache_of(&settings);
        for n in 0_u32..200 {
            let key = n.to_string();
            assert_eq!(cache.set(&key, key.as_bytes(), LONG_MS).await, Ok(()));
            let wait = Duration::from_micros(u64::from(n % 40) * 5);
            let _given_up = tokio::time::timeout(wait, cache.get("0")).await;
            assert_eq!(cache.get(&key).await, Ok(Some(key.into_bytes())));
        }
    });
}

#[test]
fn a_wrong_password_is_told_without_it() {
    run(async {
        let server = Redis::start_with(&["--requirepass", "open-sesame"]);
        for (secret, url) in [
            ("hush-hush", format!("redis://:hush-hush@127.0.0.1:{}", server.port())),
            (
                "nobody-knows",
                format!("redis://me:nobody-knows@127.0.0.1:{}", server.port()),
            ),
            ("redis://", server.url()),
        ] {
            let cache = cache_of(&settings(vec![url], RedisTopology::Single));
            let told = cache.link().check().await.expect_err("a refusal");
            let Fault::Unavailable(what) = &told else {
                panic!("{told:?}")
            };
            assert!(what.contains("refused"), "{what}");
            assert!(what.contains(&server.port().to_string()), "it says where: {what}");
            let got = cache.get("k").await.expect_err("a refusal");
            assert!(matches!(got, Fault::Unavailable(_)));
            assert!(!format!("{told:?} {got:?} {cache:?}").contains(secret));
        }
        let url = format!("redis://:open-sesame@127.0.0.1:{}", server.port());
        let cache = cache_of(&settings(vec![url], RedisTopology::Single));
        assert_eq!(cache.link().check().await, Ok(()));
        assert_eq!(cache.get("k").await, Ok(None));
    });
}

#[test]
fn a_place_where_nobody_listens_is_told() {
    run(async {
        let mut server = Redis::start();
        server.kill();
        for topology in [RedisTopology::Single, RedisTopology::Cluster] {
            let cache = cache_of(&settings(vec![server.url()], topology));
            let told = in_time(cache.link().check()).await;
            let Err(Fault::Unavailable(what)) = &told else {
                panic!("{told:?}")
            };
            assert!(what.contains(&server.port().to_string()), "{what}");
            assert!(matches!(in_time(cache.get("k")).await, Err(Fault::Unavailable(_))));
        }
        for urls in [vec![], vec!["http://hush".to_owned()], vec!["hush".to_owned()]] {
            let told = Link::new("cache", &settings(urls, RedisTopology::Single))
                .map(|_| ())
                .expect_err("a refusal");
            assert!(
                matches!(&told, Fault::Invalid(_)) && !told.to_string().contains("hush"),
                "{told}"
            );
        }
    });
}

#[test]
fn a_full_server_is_overloaded_until_there_is_room() {
    run(async {
        let server = Redis::start_with(&["--maxmemory-policy", "noeviction"]);
        let (cache, metadata) = (cache(&server), metadata(&server));
        let value = vec![7; 100_000];
        let kept = 40;
        for key in 0..kept {
            assert_eq!(cache.set(&key.to_string(), &value, LONG_MS).await, Ok(()));
        }
        server.ask(&["CONFIG", "SET", "maxmemory", "3mb"]).expect("a bound");
        let full = cache.set("k", b"v", LONG_MS).await;
        assert!(matches!(full, Err(Fault::Overloaded(_))), "{full:?}");
        let counted = cache.increment("n", 1, LONG_MS).await;
        assert!(matches!(counted, Err(Fault::Overloaded(_))), "{counted:?}");
        let put = metadata.put(vec![lease("s", "m", LONG_MS)]).await;
        assert!(matches!(put, Err(Fault::Overloaded(_))), "{put:?}");
        let locked = metadata.lock("l", "a", LONG_MS).await;
        assert!(matches!(locked, Err(Fault::Overloaded(_))), "{locked:?}");
        assert_eq!(cache.get("0").await, Ok(Some(value)), "it still reads");
        for key in 0..kept {
            assert_eq!(cache.delete(&key.to_string()).await, Ok(()));
        }
        soon(Ok(true), async || {
            metadata.put(vec![lease("s", "m", LONG_MS)]).await.map(|_| true)
        })
        .await;
        assert_eq!(cache.increment("n", 1, LONG_MS).await, Ok(1));
    });
}

#[test]
fn scripts_that_were_forgotten_are_told_again() {
    run(async {
        let server = Redis::start();
        let (cache, metadata) = (cache(&server), metadata(&server));
        for n in 1..5 {
            server.ask(&["SCRIPT", "FLUSH"]).expect("forgotten");
            assert_eq!(cache.increment("n", 1, LONG_MS).await, Ok(n));
            assert_eq!(metadata.put(vec![lease("s", "m", LONG_MS)]).await, Ok(vec![n == 1]));
            assert_eq!(metadata.count("s").await, Ok(1));
        }
    });
}

#[test]
fn a_fencing_number_grows_over_an_emptied_server_and_a_clock_that_stepped_back() {
    run(async {
        let mut server = Redis::start();
        let metadata = metadata(&server);
        let mut last = 0;
        for round in 0..4 {
            let number = metadata
                .lock("l", "a", LONG_MS)
                .await
                .expect("an answer")
                .expect("the lock");
            assert!(number > last, "{number} after {last}");
            last = number;
            match round {
                0 => drop(server.ask(&["FLUSHALL"]).expect("empty")),
                1 => server.restart(),
                _ => assert_eq!(metadata.unlock("l", "a").await, Ok(true)),
            }
            soon(Ok(0), || metadata.count("s")).await;
        }
        // A number of the future is what a clock that steps back leaves behind.
        let future = last + 3_600_000_000;
        server
            .ask(&["SET", "mpim:metadata:lock:{=l}:last", &future.to_string(), "KEEPTTL"])
            .expect("the last number");
        assert_eq!(metadata.lock("l", "a", LONG_MS).await, Ok(Some(future + 1)));
    });
}

#[test]
fn nothing_is_left_of_what_ended() {
    run(async {
        let server = Redis::start();
        let (cache, metadata) = (cache(&server), metadata(&server));
        assert_eq!(cache.set("k", b"v", 50).await, Ok(()));
        assert_eq!(cache.increment("n", 1, 50).await, Ok(1));
        let leases = (0..100)
            .map(|n| lease(&(n % 10).to_string(), &n.to_string(), 50 + n))
            .collect();
        assert_eq!(metadata.put(leases).await.map(|new| new.len()), Ok(100));
        soon("0".to_owned(), async || server.ask(&["DBSIZE"]).expect("a size")).await;
        // In a set that lives on, those that ended are freed by the next who comes.
        let leases = (0..100)
            .map(|n| lease("s", &n.to_string(), if n == 0 { LONG_MS } else { 50 }))
            .collect();
        assert_eq!(metadata.put(leases).await.map(|new| new.len()), Ok(100));
        soon(Ok(1), || metadata.count("s")).await;
        assert_eq!(metadata.put(vec![lease("s", "0", LONG_MS)]).await, Ok(vec![false]));
        assert_eq!(server.ask(&["ZCARD", "mpim:metadata:set:s"]).expect("a size"), "1");
    });
}

#[test]
fn stale_reads_go_to_the_replica_and_to_the_master_without_it() {
    run(async {
        let mut servers = Replicated::start();
        let cache = cache_of(&settings(servers.urls(), RedisTopology::Replicated));
        assert_eq!(cache.link().check().await, Ok(()));
        assert_eq!(cache.set("k", b"v", LONG_MS).await, Ok(()));
        soon(Ok(Some(b"v".to_vec())), || cache.get("k")).await;
        servers.master.ask(&["CONFIG", "RESETSTAT"]).expect("fresh counts");
        for _ in 0..10 {
            assert_eq!(cache.get("k").await, Ok(Some(b"v".to_vec())));
        }
        let counts = servers.master.ask(&["INFO", "commandstats"]).expect("counts");
        assert!(!counts.contains("cmdstat_get:"), "the master was asked: {counts}");
        servers.replica.freeze();
        for _ in 0..3 {
            assert_eq!(in_time(cache.get("k")).await, Ok(Some(b"v".to_vec())));
        }
        servers.replica.thaw();
        servers.replica.kill();
        for _ in 0..10 {
            assert_eq!(in_time(cache.get("k")).await, Ok(Some(b"v".to_vec())));
        }
    });
}

#[test]
fn a_node_of_a_cluster_that_freezes_or_dies_hurts_its_keys_alone_and_comes_back() {
    run(async {
        let mut cluster = Cluster::start();
        let mut settings = settings(cluster.urls(), RedisTopology::Cluster);
        settings.response_timeout_ms = 1_000;
        let cache = cache_of(&settings);
        let keys = (0..60).map(|n| n.to_string()).collect::<Vec<_>>();
        for key in &keys {
            assert_eq!(cache.set(key, key.as_bytes(), LONG_MS).await, Ok(()));
        }
        cluster.nodes[1].freeze();
        let (mut had, mut lost) = (0, 0);
        for key in keys.iter().take(12) {
            let asked = Instant::now();
            let answer = cache.get(key).await;
            assert!(asked.elapsed() < Duration::from_millis(1_000) + SLACK);
            match answer {
                Ok(value) => {
                    assert_eq!(value.as_deref(), Some(key.as_bytes()));
                    had += 1;
                }
                Err(fault) => {
                    assert!(fault.is_retryable());
                    lost += 1;
                }
            }
        }
        assert!(had > 0 && lost > 0, "{had} had, {lost} lost");
        cluster.nodes[1].thaw();
        for key in &keys {
            soon(Ok(Some(key.as_bytes().to_vec())), || cache.get(key)).await;
        }
        cluster.nodes[1].kill();
        soon(true, async || {
            cache.get_many(&keys).await.is_err_and(|fault| fault.is_retryable())
        })
        .await;
        // It forgot who it was: nobody has its slots until it is told again. The others are as they were.
        assert!(in_time_of(&cache, &keys, 2_000).await);
    });
}

/// Whether every call ends within a time, whatever it gives.
async fn in_time_of(cache: &Cache, keys: &[String], time_ms: u64) -> bool {
    for key in keys.iter().take(6) {
        let answered = tokio::time::timeout(Duration::from_millis(time_ms), cache.get(key)).await;
        if answered.is_err() {
            return false;
        }
    }
    true
}
