//! What happens to queues in Redis and to no other: servers that die or fill up, nodes that die, strangers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backends::{Queue, redis};
use config::{RedisQueueSettings, RedisServerSettings, RedisTopology, RedisWay};
use contract::Fault;
use contract::queue::Priority;
use tokio::time::Instant;

use crate::queue::{Bounds, begin, ids, in_redis, publish, receive, receive_all, texts};
use crate::shared::{self, soon};
use servers::redis::Redis;

/// A server for this test alone, and its settings.
pub fn alone() -> (Redis, RedisServerSettings) {
    let server = Redis::start();
    let settings = RedisServerSettings {
        response_timeout_ms: 400,
        reconnect_pause_ms: 50,
        ..shared::settings(vec![server.url()], RedisTopology::Single)
    };
    (server, settings)
}

/// A node of this name.
pub fn node(settings: &RedisQueueSettings, name: &str) -> Arc<Queue> {
    Arc::new(Queue::Redis(Box::new(
        redis::Queue::new(settings, name).expect("a queue"),
    )))
}

/// The settings of a node that uses streams alone.
pub fn streams(server: &RedisServerSettings, bounds: &Bounds) -> RedisQueueSettings {
    in_redis(server, bounds, RedisWay::Streams, &[RedisWay::Streams])
}

/// Receives as a node does that outlives failures: again and again, until there is something.
async fn receive_at_last(queue: &Queue, topic: &str, group: &str) -> Vec<contract::queue::Entry> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match queue.receive(topic, group, 100, 5_000).await {
            Ok(received) if !received.is_empty() => return received,
            Ok(_) | Err(Fault::Unavailable(_) | Fault::Timeout(_)) => {}
            Err(fault) => unreachable!("{fault}"),
        }
        assert!(Instant::now() < deadline, "nothing is received");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Publishes as a node does that outlives failures.
pub async fn publish_at_last(queue: &Queue, topic: &str, text: &str) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match queue.publish(topic, Priority::Normal, text.as_bytes().to_vec()).await {
            Ok(id) => return id,
            Err(fault) => assert!(Instant::now() < deadline, "{fault}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Receives, beside what the test does.
pub fn waiting(queue: &Arc<Queue>) -> tokio::task::JoinHandle<Vec<contract::queue::Entry>> {
    let queue = Arc::clone(queue);
    tokio::spawn(async move { receive_at_last(&queue, "t", "g").await })
}

/// Until a client of the server is in a blocking read.
async fn blocked(server: &Redis) {
    soon(true, async || {
        server
            .ask(&["INFO", "clients"])
            .is_ok_and(|info| info.contains("blocked_clients:1"))
    })
    .await;
}

#[test]
fn a_receiver_outlives_a_server_that_dies_and_comes_back_empty() {
    shared::run(async {
        let (mut server, settings) = alone();
        let settings = streams(&settings, &Bounds::default());
        let (receiver, publisher) = (node(&settings, "one"), node(&settings, "two"));
        begin(&receiver, "t", "g").await;
        let mut last = publish(&publisher, "t", Priority::Normal, "before").await;
        receive_all(&receiver, "t", "g", 1).await;
        for round in 0..3 {
            let waits = waiting(&receiver);
            blocked(&server).await;
            server.kill();
            let failed = publisher.publish("t", Priority::Normal, vec![]).await;
            assert!(failed.is_err_and(|fault| fault.is_retryable()));
            server.restart();
            let id = publish_at_last(&publisher, "t", &round.to_string()).await;
            assert!(id > last, "{id} after {last}");
            last = id;
            assert_eq!(ids(&waits.await.expect("a receiver")), [id]);
            assert_eq!(receiver.ack("t", "g", &[id]).await, Ok(1));
        }
    });
}

#[test]
fn a_receiver_outlives_a_server_that_is_emptied() {
    shared::run(async {
        let (server, settings) = alone();
        let settings = streams(&settings, &Bounds::default());
        let (receiver, publisher) = (node(&settings, "one"), node(&settings, "two"));
        begin(&receiver, "t", "g").await;
        for round in 0..3 {
            let waits = waiting(&receiver);
            blocked(&server).await;
            server.ask(&["FLUSHALL"]).expect("an empty server");
            server.ask(&["SCRIPT", "FLUSH"]).expect("no scripts");
            let begun = Instant::now();
            let id = publish(&publisher, "t", Priority::Normal, &round.to_string()).await;
            assert_eq!(ids(&waits.await.expect("a receiver")), [id]);
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            server.ask(&["FLUSHALL"]).expect("an empty server");
            assert_eq!(receiver.ack("t", "g", &[id]).await, Ok(0));
        }
    });
}

#[test]
fn a_lost_lane_or_a_lost_account_of_them_is_made_again() {
    shared::run(async {
        let (server, settings) = alone();
        let queue = node(&streams(&settings, &Bounds::default()), "one");
        begin(&queue, "t", "g").await;
        let key = |end: &str| format!("{}{{t}}:{end}", settings.prefix);
        let mut last = 0;
        for end in ["normal", "meta", "groups", "urgent", "log"] {
            server.ask(&["DEL", &key(end)]).expect("a lost key");
            let id = publish(&queue, "t", Priority::Normal, end).await;
            assert!(id > last, "{id} after {last}");
            last = id;
            let received = receive_all(&queue, "t", "g", 1).await;
            assert_eq!(texts(&received), [end]);
            assert_eq!(queue.ack("t", "g", &[id]).await, Ok(1), "{end}");
        }
    });
}

#[test]
fn a_frozen_server_costs_a_call_its_timeout_and_no_entry() {
    shared::run(async {
        let (server, settings) = alone();
        let queue = node(&streams(&settings, &Bounds::default()), "one");
        begin(&queue, "t", "g").await;
        let id = publish(&queue, "t", Priority::Normal, "").await;
        server.freeze();
        let begun = Instant::now();
        for _ in 0..3 {
            let failed = queue.receive("t", "g", 1, 10_000).await;
            assert!(failed.is_err_and(|fault| fault.is_retryable()));
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        server.thaw();
        // What the frozen server was asked it may do when it thaws: the entry is then open, and a drain has it.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Ok(entries) = queue.drain("t", "g", 10).await {
                assert_eq!(ids(&entries), [id]);
                break;
            }
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(queue.ack("t", "g", &[id]).await, Ok(1));
    });
}

#[test]
fn the_entries_of_a_consumer_that_died_reach_another() {
    shared::run(async {
        let bounds = Bounds {
            redeliver_after_ms: 400,
            ..Bounds::default()
        };
        let settings = streams(&shared::single_settings(), &bounds);
        let (dead, alive) = (node(&settings, "dead"), node(&settings, "alive"));
        begin(&alive, "t", "g").await;
        let mut published = Vec::new();
        for n in 0..40 {
            published.push(publish(&dead, "t", Priority::Normal, &n.to_string()).await);
        }
        receive_all(&dead, "t", "g", 40).await;
        drop(dead);
        let begun = Instant::now();
        assert_eq!(ids(&receive_all(&alive, "t", "g", 40).await), published);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert_eq!(alive.ack("t", "g", &published).await, Ok(40));
    });
}

#[test]
fn another_node_takes_a_topic_over_at_once() {
    shared::run(async {
        let settings = streams(&shared::cluster_settings(), &Bounds::default());
        let (dead, heir) = (node(&settings, "dead"), node(&settings, "heir"));
        let mut published = BTreeSet::new();
        for n in 0..90_u32 {
            let priority = [Priority::Low, Priority::Normal, Priority::Urgent][n as usize % 3];
            published.insert(publish(&heir, "node:dead", priority, &n.to_string()).await);
        }
        let had = receive(&dead, "node:dead", "gateway", 20).await;
        for id in ids(&had[..5]) {
            assert_eq!(dead.ack("node:dead", "gateway", &[id]).await, Ok(1));
            published.remove(&id);
        }
        drop(dead);
        while let taken = heir.drain("node:dead", "gateway", 16).await.expect("entries")
            && !taken.is_empty()
        {
            for entry in taken {
                assert!(published.remove(&entry.id), "{} was taken before", entry.id);
                heir.publish("node:heir", entry.priority, entry.payload)
                    .await
                    .expect("published anew");
                assert_eq!(heir.ack("node:dead", "gateway", &[entry.id]).await, Ok(1));
            }
        }
        assert_eq!(published, BTreeSet::new());
        assert_eq!(heir.remove_topic("node:dead").await, Ok(true));
        receive_all(&heir, "node:heir", "gateway", 85).await;
    });
}

#[test]
fn a_replay_has_what_ended_within_its_bound() {
    shared::run(async {
        let server = shared::single_settings();
        let settings = RedisQueueSettings {
            replay_max: 100,
            ..streams(&server, &Bounds::default())
        };
        let queue = node(&settings, "one");
        begin(&queue, "t", "g").await;
        let mut published = Vec::new();
        for n in 0..500 {
            let id = publish(&queue, "t", Priority::Normal, &n.to_string()).await;
            published.push(id);
            if n >= 3 {
                receive_all(&queue, "t", "g", if n == 3 { 4 } else { 1 }).await;
                queue.ack("t", "g", &[id]).await.expect("ended");
            }
        }
        let kept = queue.replay("t", 0, 1_000).await.expect("entries");
        // The first three are open, and kept; the last hundred are in the log, and a few more that lie with them.
        assert_eq!(ids(&kept[..3]), published[..3]);
        assert!((103..=303).contains(&kept.len()), "{} are kept", kept.len());
        assert_eq!(ids(&kept)[kept.len() - 100..], published[400..]);
        let again = queue.replay("t", published[449], 1_000).await.expect("entries");
        assert_eq!(ids(&again), published[450..]);
    });
}

#[test]
fn what_strangers_write_is_kept_as_dead_entries() {
    shared::run(async {
        let (server, settings) = alone();
        let queue = node(&streams(&settings, &Bounds::default()), "one");
        let key = |end: &str| format!("{}{{t}}:{end}", settings.prefix);
        let add = |id: &str, words: &[&str]| {
            let key = key("high");
            let words = [&["XADD", &key, id], words].concat();
            server.ask(&words).expect("an entry of a stranger");
        };
        add("*", &["who", "knows"]);
        add("1000000000000000-1", &["b", "not ours"]);
        assert_eq!(
            queue.receive("t", "g", 10, 0).await,
            Ok(vec![]),
            "nothing is known of it"
        );
        let waits = waiting(&queue);
        blocked(&server).await;
        // It wakes who waits, who finds nothing and waits on.
        add("5000000000000000-0", &["b", "right but for its lane", "and", "more"]);
        soon("3".to_owned(), async || {
            server.ask(&["XLEN", &key("dead")]).unwrap_or_default()
        })
        .await;
        blocked(&server).await;
        let commands = commands(&server);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(self::commands(&server) < commands + 30, "it asks again and again");
        let mine = publish(&queue, "t", Priority::High, "mine").await;
        assert_eq!(ids(&waits.await.expect("a receiver")), [mine]);
        assert_eq!(queue.ack("t", "g", &[mine]).await, Ok(1));
        assert_eq!(server.ask(&["XLEN", &key("high")]).unwrap(), "0");
        let dead = server.ask(&["XRANGE", &key("dead"), "-", "+"]).unwrap();
        assert!(
            dead.contains("knows") && dead.contains("not ours") && dead.contains("more"),
            "{dead}"
        );
    });
}

fn commands(server: &Redis) -> u64 {
    let info = server.ask(&["INFO", "stats"]).expect("its counts");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.expect("a count").trim().parse().expect("a number")
}

#[test]
fn a_topic_that_nobody_uses_leaves_nothing_behind() {
    shared::run(async {
        let (server, settings) = alone();
        let idle = |topic_idle_ms| RedisQueueSettings {
            topic_idle_ms,
            ..streams(&settings, &Bounds::default())
        };
        let queue = node(&idle(500), "one");
        begin(&queue, "t", "g").await;
        for priority in [Priority::Low, Priority::Normal, Priority::High, Priority::Urgent] {
            publish(&queue, "t", priority, "").await;
            publish(&queue, "without a group", priority, "").await;
        }
        assert_eq!(receive(&queue, "t", "g", 2).await.len(), 2);
        assert_ne!(server.ask(&["DBSIZE"]).unwrap(), "0");
        soon("0".to_owned(), async || server.ask(&["DBSIZE"]).unwrap_or_default()).await;
        // One that is used stays.
        begin(&queue, "t", "g").await;
        publish(&queue, "t", Priority::Normal, "stays").await;
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            queue.receive("t", "g", 0, 0).await.expect("a sign of life");
        }
        assert_eq!(texts(&receive_all(&queue, "t", "g", 1).await), ["stays"]);
    });
}

#[test]
fn a_full_server_is_overloaded_and_recovers_when_entries_end() {
    shared::run(async {
        let server = Redis::start_with(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]);
        let settings = shared::settings(vec![server.url()], RedisTopology::Single);
        let bounds = Bounds {
            per_topic_max: 100_000,
            ..Bounds::default()
        };
        let settings = RedisQueueSettings {
            replay_max: 0,
            ..streams(&settings, &bounds)
        };
        let queue = node(&settings, "one");
        begin(&queue, "t", "g").await;
        let mut published = 0;
        let refused = loop {
            match queue.publish("t", Priority::Normal, vec![7; 4096]).await {
                Ok(_) => published += 1,
                Err(fault) => break fault,
            }
        };
        assert!(matches!(refused, Fault::Overloaded(_)), "{refused:?}");
        let mut received = 0;
        while received < published {
            let entries = receive(&queue, "t", "g", 100).await;
            received += queue.ack("t", "g", &ids(&entries)).await.expect("ends");
        }
        soon(true, async || {
            queue.publish("t", Priority::Normal, vec![7; 4096]).await.is_ok()
        })
        .await;
    });
}

/// Scripts and blocking reads that the server was asked for.
fn round_trips(server: &Redis) -> u64 {
    let info = server.ask(&["INFO", "commandstats"]).expect("its counts");
    let calls = info.lines().filter_map(|line| {
        let ours = ["cmdstat_evalsha:calls=", "cmdstat_eval:calls=", "cmdstat_xread:calls="];
        let counts = ours.iter().find_map(|name| line.strip_prefix(name))?;
        counts.split(',').next()?.parse::<u64>().ok()
    });
    calls.sum()
}

/// What one entry costs, from its publication to its end. Prints, and asserts nothing about time.
#[test]
fn one_script_a_step() {
    shared::run(async {
        let (server, settings) = alone();
        let settings = RedisServerSettings {
            response_timeout_ms: 10_000,
            ..settings
        };
        let queue = node(&streams(&settings, &Bounds::default()), "one");
        for (topic, flights, rounds) in [("alone", 1, 500), ("together", 64, 50)] {
            begin(&queue, topic, "g").await;
            let (before, begun) = (round_trips(&server), Instant::now());
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..flights {
                let queue = Arc::clone(&queue);
                tasks.spawn(async move {
                    for _ in 0..rounds {
                        queue
                            .publish(topic, Priority::Normal, vec![7; 200])
                            .await
                            .expect("published");
                        let received = receive(&queue, topic, "g", 1).await;
                        assert_eq!(queue.ack(topic, "g", &ids(&received)).await, Ok(1));
                    }
                });
            }
            tasks.join_all().await;
            let (took, count) = (begun.elapsed(), f64::from(flights * rounds));
            let micros = took.as_secs_f64() * 1e6 / count;
            let calls = (round_trips(&server) - before) as f64 / count;
            eprintln!("{flights} in flight: {micros:.1} µs an entry, {calls:.2} round trips");
        }
    });
}
