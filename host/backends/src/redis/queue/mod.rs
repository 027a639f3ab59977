//! Queues in Redis: which of the two ways entries go, and how a cluster moves from one to the other.
//!
//! Streams keep entries until they are ended; Pub/Sub only calls out to who listens. A cluster moves between them in
//! three steps, node by node: all write both and read the old way; all write both and read the new way; all write the
//! new way only. What readers read is the authority: its failure is the publisher's. The other way is a favour, whose
//! failures are counted. In the middle step a reader may be given again what it had the old way.

mod pubsub;
mod streams;
mod subscription;

use std::sync::Arc;

use keyspace::Full;
use metrics::counter;

use self::pubsub::PubSub;
use self::streams::Streams;
use super::link::Link;
use config::{RedisQueueSettings, RedisWay};
use contract::Fault;
use contract::queue::{Entry, Priority};

/// Queues in Redis.
#[derive(Debug)]
pub struct Queue {
    link: Arc<Link>,
    streams: Streams,
    pubsub: PubSub,
    read: RedisWay,
    /// The way that nobody reads, and that is written as a favour.
    also: Option<RedisWay>,
    payload_bytes_max: usize,
    receive_max: usize,
}

impl Queue {
    /// Begins to connect, without waiting for it. `consumer` is the name of this node, which no other has. Fails if the
    /// settings cannot be. Must be called within a runtime.
    pub fn new(settings: &RedisQueueSettings, consumer: &str) -> Result<Self, Fault> {
        if !settings.write.contains(&settings.read) {
            return Err(Fault::Invalid("queue: what is read must be written as well".to_owned()));
        }
        let link = Arc::new(Link::new("queue", &settings.server)?);
        Ok(Self {
            streams: Streams::new(Arc::clone(&link), settings, consumer),
            pubsub: PubSub::new(Arc::clone(&link), settings)?,
            link,
            read: settings.read,
            also: settings.write.iter().copied().find(|way| *way != settings.read),
            payload_bytes_max: settings.payload_bytes_max,
            receive_max: settings.receive_max.max(1),
        })
    }

    /// The servers, for checks and measures.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Appends to a topic; the id of the entry. One round trip.
    pub async fn publish(&self, topic: &str, priority: Priority, payload: Vec<u8>) -> Result<u64, Fault> {
        self.fits(payload.len().max(topic.len()))?;
        let Some(also) = self.also else {
            return self
                .publish_by(self.read, topic, priority, &payload, Full::Refuses)
                .await;
        };
        let (published, favour) = tokio::join!(
            self.publish_by(self.read, topic, priority, &payload, Full::Refuses),
            self.publish_by(also, topic, priority, &payload, Full::DropsOldest),
        );
        if let Err(fault) = favour {
            counter!("mpim_queue_favours_failed_total").increment(1);
            tracing::debug!(%fault, "an entry did not go the way that nobody reads here");
        }
        published
    }

    /// Up to `max` entries for a group; waits up to `wait_ms` milliseconds for the first. Whoever drops the future after
    /// the server answered has what it gave given again later.
    pub async fn receive(&self, topic: &str, group: &str, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Fault> {
        self.fits(topic.len().max(group.len()))?;
        let max = self.at_most(max);
        match self.read {
            RedisWay::Streams => self.streams.receive(topic, group, max, wait_ms).await,
            RedisWay::PubSub => self.pubsub.receive(topic, group, max, wait_ms).await,
        }
    }

    /// Ends entries for a group; how many were open.
    pub async fn ack(&self, topic: &str, group: &str, ids: &[u64]) -> Result<u32, Fault> {
        match self.read {
            RedisWay::Streams => self.streams.ack(topic, group, ids).await,
            RedisWay::PubSub => Ok(self.pubsub.heard().ack(topic, group, ids)),
        }
    }

    /// Up to `max` entries that a group has not ended, also those that another consumer has open, at once.
    pub async fn drain(&self, topic: &str, group: &str, max: u32) -> Result<Vec<Entry>, Fault> {
        self.fits(topic.len().max(group.len()))?;
        let max = self.at_most(max);
        match self.read {
            RedisWay::Streams => self.streams.drain(topic, group, max).await,
            RedisWay::PubSub => self.pubsub.heard().drain(topic, group, max),
        }
    }

    /// Up to `max` entries after an id, open or ended, oldest first.
    pub async fn replay(&self, topic: &str, after: u64, max: u32) -> Result<Vec<Entry>, Fault> {
        let max = self.at_most(max);
        match self.read {
            RedisWay::Streams => self.streams.replay(topic, after, max).await,
            RedisWay::PubSub => Ok(self.pubsub.heard().replay(topic, after, max)),
        }
    }

    /// Forgets a topic that keeps no entry; whether it is gone.
    pub async fn remove_topic(&self, topic: &str) -> Result<bool, Fault> {
        match self.read {
            RedisWay::Streams => self.streams.remove_topic(topic).await,
            RedisWay::PubSub => Ok(self.pubsub.remove_topic(topic)),
        }
    }

    async fn publish_by(
        &self,
        way: RedisWay,
        topic: &str,
        priority: Priority,
        payload: &[u8],
        full: Full,
    ) -> Result<u64, Fault> {
        match way {
            RedisWay::Streams => self.streams.publish(topic, priority, payload, full).await,
            RedisWay::PubSub => self.pubsub.publish(topic, priority, payload).await,
        }
    }

    fn at_most(&self, max: u32) -> u32 {
        max.min(u32::try_from(self.receive_max).unwrap_or(u32::MAX))
    }

    fn fits(&self, bytes: usize) -> Result<(), Fault> {
        if bytes > self.payload_bytes_max {
            return Err(Fault::Invalid(format!(
                "a payload has at most {} bytes",
                self.payload_bytes_max
            )));
        }
        Ok(())
    }
}
