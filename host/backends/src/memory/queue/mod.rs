//! Queues in memory: topics with priority lanes and groups of consumers.
//!
//! Owns the topics and their bounds. A receiver that finds nothing sleeps until an entry comes, one must be given
//! again, or its time is over; nobody polls. All is lost when the process ends: a queue is a hint.

mod lane;
mod topic;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::topic::Topic;
use super::mutex::lock;
use config::MemoryQueueSettings;
use contract::Fault;
use contract::queue::{Entry, Priority};

/// How often, at most, a bound that is met may cost a look at every topic.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Queues in this process.
#[derive(Debug)]
pub struct Queue {
    settings: MemoryQueueSettings,
    topics: Mutex<Topics>,
    /// Bytes of the payloads of all topics.
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: HashMap<String, Arc<Shared>>,
    swept: Option<Instant>,
}

/// A topic, and who waits for its entries.
#[derive(Debug, Default)]
struct Shared {
    topic: Mutex<Topic>,
    arrived: Notify,
}

impl Queue {
    /// Without topics.
    pub fn new(settings: &MemoryQueueSettings) -> Self {
        Self {
            settings: settings.clone(),
            topics: Mutex::default(),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Appends to a topic; the id of the entry.
    pub fn publish(&self, topic: &str, priority: Priority, payload: Vec<u8>) -> Result<u64, Fault> {
        self.append(topic, 0, priority, payload)
    }

    /// Appends what has an id already; its id, which is another where that does not grow.
    pub(crate) fn append(&self, topic: &str, id: u64, priority: Priority, payload: Vec<u8>) -> Result<u64, Fault> {
        self.fits(payload.len())?;
        if self.bytes.load(Ordering::Relaxed).saturating_add(payload.len()) > self.settings.bytes_max {
            self.sweep(&mut lock(&self.topics));
        }
        let shared = self.topic(topic)?;
        let now = Instant::now();
        let id = {
            let mut topic = lock(&shared.topic);
            self.counted(&mut topic, |topic| topic.make_room(&self.settings, now));
            if topic.len() >= self.settings.per_topic_max {
                return Err(Fault::Overloaded(format!(
                    "the topic has {} entries",
                    self.settings.per_topic_max
                )));
            }
            if self.bytes.load(Ordering::Relaxed).saturating_add(payload.len()) > self.settings.bytes_max {
                return Err(Fault::Overloaded(format!(
                    "the queues have {} bytes",
                    self.settings.bytes_max
                )));
            }
            self.counted(&mut topic, |topic| topic.publish(id, priority, payload, now))
        };
        shared.arrived.notify_waiters();
        Ok(id)
    }

    /// Up to `max` entries for a group; waits up to `wait_ms` milliseconds for the first. Dropping the future
    /// loses nothing.
    pub async fn receive(&self, topic: &str, group: &str, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Fault> {
        self.fits(group.len())?;
        let shared = self.topic(topic)?;
        let max = self.at_most(max);
        let until = Instant::now() + Duration::from_millis(u64::from(wait_ms));
        loop {
            let mut arrived = std::pin::pin!(shared.arrived.notified());
            // Listens before it looks, so that nothing comes in between unheard.
            arrived.as_mut().enable();
            let now = Instant::now();
            let (entries, again) = lock(&shared.topic).take(group, max, &self.settings, now)?;
            if !entries.is_empty() || max == 0 || now >= until {
                return Ok(entries);
            }
            let wake = again.map_or(until, |again| again.min(until));
            // Woken or not, the next look tells.
            let _ = tokio::time::timeout_at(wake, arrived).await;
        }
    }

    /// Ends entries for a group; how many were open.
    pub fn ack(&self, topic: &str, group: &str, ids: &[u64]) -> u32 {
        let shared = lock(&self.topics).by_name.get(topic).map(Arc::clone);
        let Some(shared) = shared else { return 0 };
        let mut topic = lock(&shared.topic);
        self.counted(&mut topic, |topic| topic.ack(group, ids, Instant::now()))
    }

    /// Up to `max` entries that a group has not ended, also those that another consumer has open, at once.
    pub fn drain(&self, topic: &str, group: &str, max: u32) -> Result<Vec<Entry>, Fault> {
        self.fits(group.len())?;
        let shared = self.topic(topic)?;
        let mut topic = lock(&shared.topic);
        topic.recall(group);
        let (entries, _) = topic.take(group, self.at_most(max), &self.settings, Instant::now())?;
        Ok(entries)
    }

    /// Up to `max` entries after an id that the topic keeps, oldest first; ended ones are not kept.
    pub fn replay(&self, topic: &str, after: u64, max: u32) -> Vec<Entry> {
        let shared = lock(&self.topics).by_name.get(topic).map(Arc::clone);
        shared.map_or_else(Vec::new, |shared| lock(&shared.topic).after(after, self.at_most(max)))
    }

    /// Forgets a topic that keeps no entry; whether it is gone.
    pub fn remove_topic(&self, topic: &str) -> bool {
        let mut topics = lock(&self.topics);
        // Others hold it only while they use it, and they get it under the lock that is held here.
        let is_free = |shared: &Arc<Shared>| Arc::strong_count(shared) == 1 && lock(&shared.topic).len() == 0;
        if topics.by_name.get(topic).is_some_and(|shared| !is_free(shared)) {
            return false;
        }
        topics.by_name.remove(topic);
        true
    }

    /// Entries that a topic keeps.
    #[cfg(test)]
    pub(super) fn kept(&self, topic: &str) -> usize {
        lock(&self.topics)
            .by_name
            .get(topic)
            .map_or(0, |shared| lock(&shared.topic).len())
    }

    fn topic(&self, name: &str) -> Result<Arc<Shared>, Fault> {
        let mut topics = lock(&self.topics);
        if let Some(shared) = topics.by_name.get(name) {
            return Ok(Arc::clone(shared));
        }
        self.fits(name.len())?;
        if topics.by_name.len() >= self.settings.topics_max {
            self.sweep(&mut topics);
        }
        if topics.by_name.len() >= self.settings.topics_max {
            return Err(Fault::Overloaded(format!(
                "there are {} topics",
                self.settings.topics_max
            )));
        }
        Ok(Arc::clone(topics.by_name.entry(name.to_owned()).or_default()))
    }

    /// Looks at every topic, unless that was done a moment ago, and forgets those that are idle and not in use.
    fn sweep(&self, topics: &mut Topics) {
        let now = Instant::now();
        if topics.swept.is_some_and(|swept| now < swept + SWEEP_EVERY) {
            return;
        }
        topics.swept = Some(now);
        topics.by_name.retain(|_, shared| {
            let mut topic = lock(&shared.topic);
            self.counted(&mut topic, |topic| topic.sweep(&self.settings, now));
            // Others hold it only while they use it, and they get it under the lock that is held here.
            !topic.is_idle() || Arc::strong_count(shared) > 1
        });
    }

    /// Changes a topic and keeps the count of all bytes.
    fn counted<T>(&self, topic: &mut Topic, change: impl FnOnce(&mut Topic) -> T) -> T {
        let before = topic.bytes();
        let answer = change(topic);
        let after = topic.bytes();
        if after >= before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
        answer
    }

    fn at_most(&self, max: u32) -> usize {
        usize::try_from(max)
            .unwrap_or(usize::MAX)
            .min(self.settings.receive_max.max(1))
    }

    fn fits(&self, bytes: usize) -> Result<(), Fault> {
        if bytes > self.settings.payload_bytes_max {
            return Err(Fault::Invalid(format!(
                "a payload has at most {} bytes",
                self.settings.payload_bytes_max
            )));
        }
        Ok(())
    }
}
