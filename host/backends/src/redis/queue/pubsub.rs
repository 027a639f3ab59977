//! Queues as Redis Pub/Sub: entries are called out, and each node that listens keeps what it heard in its memory.
//!
//! What is published while a node does not listen is lost to it: before its first `receive` of a topic, and while its
//! connection is being made again. There is no memory of the cluster: each node hears every entry, and its groups,
//! acknowledgements and redeliveries are those of [`memory::Queue`]. The server gives the ids, so that they grow over
//! all publishers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyspace::topic::{lane, tag};
use keyspace::{Link as _, Script};
use tokio::time::Instant;

use super::subscription::{Listen, Subscription};
use crate::memory;
use crate::redis::link::Link;
use config::{MemoryQueueSettings, RedisQueueSettings};
use contract::Fault;
use contract::queue::{Entry, Priority};

/// Queues that are called out.
#[derive(Debug)]
pub(super) struct PubSub {
    link: Arc<Link>,
    listen: Listen,
    heard: Arc<memory::Queue>,
    subscriptions: Mutex<HashMap<String, Subscription>>,
    publish: Script,
    topics_max: usize,
    topic_idle_ms: u64,
}

impl PubSub {
    pub(super) fn new(link: Arc<Link>, settings: &RedisQueueSettings) -> Result<Self, Fault> {
        let heard = Arc::new(memory::Queue::new(&MemoryQueueSettings {
            per_topic_max: settings.per_topic_max,
            topics_max: settings.topics_max,
            groups_max: settings.groups_max,
            bytes_max: settings.bytes_max,
            payload_bytes_max: settings.payload_bytes_max,
            receive_max: settings.receive_max,
            redeliver_after_ms: settings.redeliver_after_ms,
            retain_ms: settings.retain_ms,
            group_idle_ms: settings.group_idle_ms,
        }));
        Ok(Self {
            listen: Listen::new(&settings.server, settings.group_idle_ms, Arc::clone(&heard))?,
            link,
            heard,
            subscriptions: Mutex::default(),
            publish: Script::new(include_str!("pubsub/publish.lua")),
            topics_max: settings.topics_max,
            topic_idle_ms: settings.topic_idle_ms.max(1),
        })
    }

    /// Calls an entry out; its id. Whether anybody listens is not known.
    pub(super) async fn publish(&self, topic: &str, priority: Priority, payload: &[u8]) -> Result<u64, Fault> {
        let channel = self.channel(topic);
        let keys = [format!("{channel}:last")];
        let lane = lane(priority).to_string();
        let ttl = self.topic_idle_ms.to_string();
        let args = [channel.as_bytes(), lane.as_bytes(), payload, ttl.as_bytes()];
        self.link.run(&self.publish, &keys, &args).await
    }

    /// Up to `max` entries that were heard; waits for the first. Listens from the first call on.
    pub(super) async fn receive(&self, topic: &str, group: &str, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Fault> {
        let until = Instant::now() + Duration::from_millis(u64::from(wait_ms));
        let hears = self.subscribe(topic)?;
        let heard = self.heard.receive(topic, group, max, 0).await?;
        if !heard.is_empty() {
            return Ok(heard);
        }
        // What was heard is given also while nothing can be; but nobody waits for what cannot come.
        hears.await?;
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        self.heard.receive(topic, group, max, left).await
    }

    /// What this node heard and has not ended.
    pub(super) fn heard(&self) -> &memory::Queue {
        &self.heard
    }

    /// Ends the listening to a topic of which nothing is kept; whether it is gone.
    pub(super) fn remove_topic(&self, topic: &str) -> bool {
        let mut subscriptions = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.heard.remove_topic(topic) {
            return false;
        }
        subscriptions.remove(topic);
        true
    }

    /// Sees to it that the topic is listened to; the future ends when it is.
    fn subscribe(&self, topic: &str) -> Result<impl Future<Output = Result<(), Fault>> + use<>, Fault> {
        let mut subscriptions = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(subscription) = subscriptions.get(topic)
            && subscription.wants()
        {
            return Ok(subscription.hears());
        }
        if subscriptions.len() >= self.topics_max {
            subscriptions.retain(|_, subscription| !subscription.has_ended());
        }
        if subscriptions.len() >= self.topics_max {
            return Err(Fault::Overloaded(format!("{} topics are listened to", self.topics_max)));
        }
        let subscription = self.listen.to(topic, self.channel(topic));
        let hears = subscription.hears();
        subscriptions.insert(topic.to_owned(), subscription);
        Ok(hears)
    }

    fn channel(&self, topic: &str) -> String {
        self.link.key(&format!("{}:heard", tag(topic)))
    }
}
