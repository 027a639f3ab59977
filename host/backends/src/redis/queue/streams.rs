//! Waiting for entries of Redis Streams, and reading them again.
//!
//! What a topic is and does is in [`keyspace`]. A receiver that finds nothing waits in a blocking read, which an entry
//! ends at once, and asks again: the read itself takes nothing, so that a receiver may be dropped while it waits. It
//! knows nothing of Pub/Sub.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyspace::{Full, Look, TopicSettings, Topics, topic};
use metrics::counter;
use redis::Value;
use tokio::time::Instant;

use crate::redis::link::Link;
use config::RedisQueueSettings;
use contract::Fault;
use contract::queue::{Entry, Priority};

/// The longest that one blocking read lasts: a server that went silent is found out by its end.
const READ_MAX: Duration = Duration::from_secs(5);

/// What the settings say of topics.
fn topics_of(settings: &RedisQueueSettings) -> TopicSettings {
    TopicSettings {
        per_topic_max: settings.per_topic_max,
        groups_max: settings.groups_max,
        receive_bytes_max: settings.receive_bytes_max,
        redeliver_after_ms: settings.redeliver_after_ms,
        retain_ms: settings.retain_ms,
        group_idle_ms: settings.group_idle_ms,
        replay_max: settings.replay_max,
        undecodable_max: settings.undecodable_max,
        topic_idle_ms: settings.topic_idle_ms,
    }
}

/// Queues in streams.
#[derive(Debug)]
pub(super) struct Streams {
    topics: Topics<Arc<Link>>,
    undecodable: AtomicBool,
}

impl Streams {
    pub(super) fn new(link: Arc<Link>, settings: &RedisQueueSettings, consumer: &str) -> Self {
        Self {
            topics: Topics::new(link, topics_of(settings), consumer),
            undecodable: AtomicBool::new(false),
        }
    }

    /// Appends an entry; its id.
    pub(super) async fn publish(
        &self,
        topic: &str,
        priority: Priority,
        payload: &[u8],
        full: Full,
    ) -> Result<u64, Fault> {
        self.topics.publish(topic, priority, payload, full).await
    }

    /// Up to `max` entries for a group; waits for the first.
    pub(super) async fn receive(&self, topic: &str, group: &str, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Fault> {
        let until = Instant::now() + Duration::from_millis(u64::from(wait_ms));
        let mut look = Look::Known;
        loop {
            let taken = self.topics.take(topic, group, max, look).await?;
            self.note_undecodable(taken.undecodable);
            let left = until.saturating_duration_since(Instant::now());
            if !taken.entries.is_empty() || max == 0 || left.is_zero() {
                return Ok(taken.entries);
            }
            let wait = taken.again.map_or(left, |again| again.min(left)).min(READ_MAX);
            // What woke it may be an entry that somebody else wrote, which no count knows of.
            look = match self.arrives(&self.topics.keys(topic), taken.last, wait).await? {
                true => Look::Everywhere,
                false => Look::Known,
            };
        }
    }

    /// Ends entries for a group; how many were open.
    pub(super) async fn ack(&self, topic: &str, group: &str, ids: &[u64]) -> Result<u32, Fault> {
        self.topics.ack(topic, group, ids).await
    }

    /// Up to `max` entries that the group has not ended, whoever has them.
    pub(super) async fn drain(&self, topic: &str, group: &str, max: u32) -> Result<Vec<Entry>, Fault> {
        let taken = self.topics.take(topic, group, max, Look::Drain).await?;
        self.note_undecodable(taken.undecodable);
        Ok(taken.entries)
    }

    /// Up to `max` entries after an id, of the lanes and of the log.
    pub(super) async fn replay(&self, topic: &str, after: u64, max: u32) -> Result<Vec<Entry>, Fault> {
        let keys = self.topics.keys(topic);
        let streams = || keys.iter().take(topic::LANES).chain(keys.get(topic::LOG));
        let mut pipeline = redis::pipe();
        for key in streams() {
            let range = pipeline.cmd("XRANGE").arg(key).arg(format!("({after}-0")).arg("+");
            range.arg("COUNT").arg(max);
        }
        let found: Vec<Vec<(String, Vec<Vec<u8>>)>> = self.topics.link().pipeline(&pipeline).await?;
        let mut entries = BTreeMap::new();
        for (id, mut fields) in found.into_iter().flatten() {
            let id = id.strip_suffix("-0").and_then(|id| id.parse::<u64>().ok());
            if let (Some(id), [name, payload]) = (id, fields.as_mut_slice())
                && name == b"b"
            {
                entries.insert(id, std::mem::take(payload));
            }
        }
        let entries = entries.into_iter().take(usize::try_from(max).unwrap_or(usize::MAX));
        Ok(entries.map(|(id, payload)| keyspace::entry(id, payload)).collect())
    }

    /// Forgets a topic without entries; whether it is gone.
    pub(super) async fn remove_topic(&self, topic: &str) -> Result<bool, Fault> {
        self.topics.remove(topic).await
    }

    /// Waits for an entry after an id; whether one came.
    async fn arrives(&self, keys: &[String], after: u64, wait: Duration) -> Result<bool, Fault> {
        let mut read = redis::cmd("XREAD");
        // A wait of 0 has no end.
        read.arg("COUNT")
            .arg(1)
            .arg("BLOCK")
            .arg(wait.as_millis().max(1) as u64);
        read.arg("STREAMS");
        let lanes = keys.iter().take(topic::LANES);
        for lane in lanes.clone() {
            read.arg(lane);
        }
        for _ in lanes {
            read.arg(after);
        }
        let found: Value = self.topics.link().block(&read, wait).await?;
        Ok(found != Value::Nil)
    }

    fn note_undecodable(&self, count: u64) {
        if count == 0 {
            return;
        }
        counter!("mpim_queue_undecodable_total").increment(count);
        if !self.undecodable.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "entries of a queue cannot be decoded and were kept as dead entries: somebody else writes there"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_without_settings_are_those_of_every_host() {
        assert_eq!(topics_of(&RedisQueueSettings::default()), TopicSettings::default());
    }
}
