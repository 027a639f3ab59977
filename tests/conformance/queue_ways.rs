//! Pub/Sub, and the move of a cluster from it to streams.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backends::{Queue, redis};
use config::RedisWay;
use contract::Fault;
use contract::queue::Priority;
use tokio::time::Instant;

use crate::queue::{Bounds, begin, ids, in_redis, publish, receive_all, texts};
use crate::queue_in_redis::{alone, node, publish_at_last, streams, waiting};
use crate::shared::{self, soon};

#[test]
fn pubsub_listens_again_when_the_server_is_back() {
    shared::run(async {
        let (mut server, settings) = alone();
        let settings = in_redis(&settings, &Bounds::default(), RedisWay::PubSub, &[RedisWay::PubSub]);
        let (receiver, publisher) = (node(&settings, "one"), node(&settings, "two"));
        begin(&receiver, "t", "g").await;
        for _ in 0..2 {
            server.restart();
            let waits = waiting(&receiver);
            // Whether anybody listens again is not known: say it until it is heard.
            let deadline = Instant::now() + Duration::from_secs(20);
            while !waits.is_finished() {
                publish_at_last(&publisher, "t", "again").await;
                tokio::time::sleep(Duration::from_millis(10)).await;
                assert!(Instant::now() < deadline, "it does not listen");
            }
            let heard = waits.await.expect("a receiver");
            assert_eq!(texts(&heard)[0], "again");
            while let more = receiver.receive("t", "g", 100, 100).await.expect("entries")
                && !more.is_empty()
            {}
        }
        server.kill();
        soon(true, async || receiver.receive("t", "g", 1, 10).await.is_err()).await;
    });
}

#[test]
fn pubsub_that_cannot_connect_says_so() {
    shared::run(async {
        let (mut server, settings) = alone();
        server.kill();
        let settings = in_redis(&settings, &Bounds::default(), RedisWay::PubSub, &[RedisWay::PubSub]);
        let queue = node(&settings, "one");
        let begun = Instant::now();
        let refused = queue.receive("t", "g", 1, 10_000).await;
        assert!(matches!(refused, Err(Fault::Unavailable(_))), "{refused:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    });
}

#[test]
fn what_is_read_must_be_written() {
    shared::run(async {
        let settings = in_redis(
            &shared::single_settings(),
            &Bounds::default(),
            RedisWay::PubSub,
            &[RedisWay::Streams],
        );
        let refused = redis::Queue::new(&settings, "one").map(|_| ());
        assert!(matches!(refused, Err(Fault::Invalid(_))), "{refused:?}");
    });
}

#[test]
fn a_stream_that_nobody_reads_is_trimmed_and_hinders_nobody() {
    shared::run(async {
        let server = shared::single_settings();
        let bounds = Bounds {
            per_topic_max: 10,
            ..Bounds::default()
        };
        let both = in_redis(
            &server,
            &bounds,
            RedisWay::PubSub,
            &[RedisWay::PubSub, RedisWay::Streams],
        );
        let publisher = node(&both, "one");
        for n in 0..50 {
            publish(&publisher, "t", Priority::Normal, &n.to_string()).await;
        }
        let reader = node(&streams(&server, &bounds), "two");
        let kept = receive_all(&reader, "t", "g", 10).await;
        assert_eq!(texts(&kept)[..2], ["40", "41"]);
    });
}

#[test]
fn a_way_that_nobody_reads_may_fail_and_costs_no_entry() {
    shared::run(async {
        let (server, settings) = alone();
        let bounds = Bounds::default();
        let both = in_redis(
            &settings,
            &bounds,
            RedisWay::PubSub,
            &[RedisWay::PubSub, RedisWay::Streams],
        );
        let (reader, publisher) = (node(&both, "one"), node(&both, "two"));
        begin(&reader, "t", "g").await;
        // Something that is no stream is where the stream would be.
        let lane = format!("{}{{t}}:normal", settings.prefix);
        server.ask(&["SET", &lane, "no stream"]).expect("set");
        let alone = node(&streams(&settings, &bounds), "three");
        let refused = alone.publish("t", Priority::Normal, b"refused".to_vec()).await;
        assert!(refused.is_err(), "streams cannot be written");
        let mine = publish(&publisher, "t", Priority::Normal, "heard").await;
        assert_eq!(ids(&receive_all(&reader, "t", "g", 1).await), [mine]);
    });
}

#[test]
fn a_cluster_moves_from_pubsub_to_streams_and_loses_nothing() {
    shared::run(async {
        use RedisWay::{PubSub, Streams};
        let server = shared::single_settings();
        let step =
            |name: &str, read, write: &[RedisWay]| node(&in_redis(&server, &Bounds::default(), read, write), name);
        let mut said = 0;
        let mut heard = BTreeSet::new();
        // The reader and the publisher move one after the other, and the publisher publishes all the time.
        let steps: [(RedisWay, &[RedisWay], RedisWay, &[RedisWay]); 5] = [
            (PubSub, &[PubSub], PubSub, &[PubSub]),
            (PubSub, &[PubSub, Streams], PubSub, &[PubSub]),
            (PubSub, &[PubSub, Streams], PubSub, &[PubSub, Streams]),
            (PubSub, &[Streams, PubSub], Streams, &[PubSub, Streams]),
            (Streams, &[Streams], Streams, &[Streams]),
        ];
        let mut previous: Option<Arc<Queue>> = None;
        for (publisher_reads, publisher_writes, reader_reads, reader_writes) in steps {
            let publisher = step("publisher", publisher_reads, publisher_writes);
            let reader = step("reader", reader_reads, reader_writes);
            begin(&reader, "t", "g").await;
            if let Some(previous) = previous.take() {
                // What was said while the reader moved is had by the old one or the new one.
                heard.extend(drain(&previous).await);
            }
            for _ in 0..60 {
                publish(&publisher, "t", Priority::Normal, &said.to_string()).await;
                said += 1;
            }
            heard.extend(drain(&reader).await);
            for _ in 0..20 {
                publish(&publisher, "t", Priority::Normal, &said.to_string()).await;
                said += 1;
            }
            previous = Some(reader);
        }
        heard.extend(drain(previous.as_ref().expect("the last reader")).await);
        let lost = (0..said)
            .filter(|n| !heard.contains(&n.to_string()))
            .collect::<Vec<_>>();
        assert_eq!(lost, Vec::<u32>::new());
    });
}

async fn drain(queue: &Queue) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let received = queue.receive("t", "g", 100, 300).await.expect("entries");
        if received.is_empty() {
            return all;
        }
        let ids = ids(&received);
        assert_eq!(queue.ack("t", "g", &ids).await, Ok(ids.len() as u32));
        all.extend(texts(&received));
    }
}
