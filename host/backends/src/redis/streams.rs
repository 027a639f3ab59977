//! Queues as Redis Streams: kept until every group has ended them, shared by all nodes.
//!
//! Owns the keys of a topic and the scripts that change them; each operation is one script and one round trip. A
//! receiver that finds nothing waits in a blocking read, which an entry ends at once, and asks again: the read itself
//! takes nothing, so that a receiver may be dropped while it waits. Priorities are lanes, a stream each. Whatever the
//! server lost is made again where it is missed. It knows nothing of Pub/Sub.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::counter;
use redis::Value;
use tokio::time::Instant;

use super::link::Link;
use super::queue::QueueSettings;
use super::script::Script;
use super::topic::{self, lane, priority};
use crate::{Entry, Fault, Priority};

/// How many entries may overtake a waiting lane before it has its turn, as in memory.
const PATIENCE: u32 = 8;
/// The longest that one blocking read lasts: a server that went silent is found out by its end.
const READ_MAX: Duration = Duration::from_secs(5);
/// Ids that one script ends.
const ACK_MAX: usize = 512;

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(
            include_str!("streams/topic.lua"),
            include_str!(concat!("streams/", $name))
        ))
    };
}

/// What a full topic does with one entry more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Refuses it.
    Refuses,
    /// Drops its oldest: nobody may be reading.
    DropsOldest,
}

/// Queues in streams.
#[derive(Debug)]
pub(super) struct Streams {
    link: Arc<Link>,
    settings: QueueSettings,
    consumer: String,
    publish: Script,
    receive: Script,
    acknowledge: Script,
    remove: Script,
    undecodable: AtomicBool,
}

/// Which entries a consumer is given.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// What is known to wait.
    Known,
    /// What is found in any lane.
    Everywhere,
    /// Also what other consumers have open.
    Drain,
}

/// What the script of a receiver gives.
struct Taken {
    entries: Vec<Entry>,
    /// The last id of the topic.
    last: u64,
    /// When to look for late entries.
    again: Option<Duration>,
}

impl Streams {
    pub(super) fn new(link: Arc<Link>, settings: &QueueSettings, consumer: &str) -> Self {
        Self {
            link,
            settings: settings.clone(),
            consumer: consumer.to_owned(),
            publish: script!("publish.lua"),
            receive: script!("receive.lua"),
            acknowledge: script!("acknowledge.lua"),
            remove: script!("remove.lua"),
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
        let mut args = self.args(&[(lane(priority) + 1).to_string()]);
        args.push(payload.to_vec());
        args.extend(
            [
                self.settings.per_topic_max.to_string(),
                self.settings.retain_ms.to_string(),
                self.settings.replay_max.to_string(),
                u8::from(full == Full::DropsOldest).to_string(),
            ]
            .map(String::into_bytes),
        );
        match self.link.run(&self.publish, &self.keys(topic), &args).await? {
            0 => Err(Fault::Overloaded(format!(
                "the topic has {} entries",
                self.settings.per_topic_max
            ))),
            id => Ok(id),
        }
    }

    /// Up to `max` entries for a group; waits for the first.
    pub(super) async fn receive(&self, topic: &str, group: &str, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Fault> {
        let keys = self.keys(topic);
        let until = Instant::now() + Duration::from_millis(u64::from(wait_ms));
        let mut look = Look::Known;
        loop {
            let taken = self.take(&keys, group, max, look).await?;
            let left = until.saturating_duration_since(Instant::now());
            if !taken.entries.is_empty() || max == 0 || left.is_zero() {
                return Ok(taken.entries);
            }
            let wait = taken.again.map_or(left, |again| again.min(left)).min(READ_MAX);
            // What woke it may be an entry that somebody else wrote, which no count knows of.
            look = match self.arrives(&keys, taken.last, wait).await? {
                true => Look::Everywhere,
                false => Look::Known,
            };
        }
    }

    /// Ends entries for a group; how many were open.
    pub(super) async fn ack(&self, topic: &str, group: &str, ids: &[u64]) -> Result<u32, Fault> {
        let keys = self.keys(topic);
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut ended = 0;
        for ids in ids.chunks(ACK_MAX) {
            let mut args = self.args(&[group.to_owned()]);
            for lane in 0..topic::LANES {
                let ids = ids.iter().filter(|id| topic::lane_of(**id) == lane);
                args.push(ids.clone().count().to_string().into_bytes());
                args.extend(ids.map(|id| id.to_string().into_bytes()));
            }
            ended += self.link.run::<u32, _, _>(&self.acknowledge, &keys, &args).await?;
        }
        Ok(ended)
    }

    /// Up to `max` entries that the group has not ended, whoever has them.
    pub(super) async fn drain(&self, topic: &str, group: &str, max: u32) -> Result<Vec<Entry>, Fault> {
        Ok(self.take(&self.keys(topic), group, max, Look::Drain).await?.entries)
    }

    /// Up to `max` entries after an id, of the lanes and of the log.
    pub(super) async fn replay(&self, topic: &str, after: u64, max: u32) -> Result<Vec<Entry>, Fault> {
        let keys = self.keys(topic);
        let streams = || keys.iter().take(topic::LANES).chain(keys.get(topic::LOG));
        let mut pipeline = redis::pipe();
        for key in streams() {
            let range = pipeline.cmd("XRANGE").arg(key).arg(format!("({after}-0")).arg("+");
            range.arg("COUNT").arg(max);
        }
        let found: Vec<Vec<(String, Vec<Vec<u8>>)>> = self.link.pipeline(&pipeline).await?;
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
        Ok(entries.map(|(id, payload)| entry(id, payload)).collect())
    }

    /// Forgets a topic without entries; whether it is gone.
    pub(super) async fn remove_topic(&self, topic: &str) -> Result<bool, Fault> {
        self.link.run(&self.remove, &self.keys(topic), &self.args(&[])).await
    }

    async fn take(&self, keys: &[String], group: &str, max: u32, look: Look) -> Result<Taken, Fault> {
        let settings = &self.settings;
        let args = self.args(&[
            group.to_owned(),
            self.consumer.clone(),
            max.to_string(),
            settings.receive_bytes_max.max(1).to_string(),
            settings.redeliver_after_ms.to_string(),
            settings.groups_max.to_string(),
            PATIENCE.to_string(),
            settings.undecodable_max.to_string(),
            look.word().to_owned(),
        ]);
        let (crowded, last, again, set_aside, entries): (bool, u64, i64, u64, Vec<(u64, Vec<u8>)>) =
            self.link.run(&self.receive, keys, &args).await?;
        if crowded {
            return Err(Fault::Overloaded(format!(
                "the topic has {} groups",
                settings.groups_max
            )));
        }
        self.note_undecodable(set_aside);
        Ok(Taken {
            entries: entries.into_iter().map(|(id, payload)| entry(id, payload)).collect(),
            last,
            again: u64::try_from(again).ok().map(Duration::from_millis),
        })
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
        let found: Value = self.link.block(&read, wait).await?;
        Ok(found != Value::Nil)
    }

    fn note_undecodable(&self, count: u64) {
        if count == 0 {
            return;
        }
        counter!("mpim_queue_undecodable_total").increment(count);
        if !self.undecodable.swap(true, Ordering::Relaxed) {
            tracing::warn!("entries of a queue cannot be decoded and were set aside: somebody else writes there");
        }
    }

    fn keys(&self, topic: &str) -> Vec<String> {
        topic::keys(&self.link, topic)
    }

    /// The arguments of a script, after those that all scripts have.
    fn args(&self, own: &[String]) -> Vec<Vec<u8>> {
        let all = [self.settings.topic_idle_ms.max(1), self.settings.group_idle_ms];
        let all = all.iter().map(u64::to_string).chain(own.iter().cloned());
        all.map(String::into_bytes).collect()
    }
}

impl Look {
    /// As the script has it.
    fn word(self) -> &'static str {
        match self {
            Self::Known => "turn",
            Self::Everywhere => "look",
            Self::Drain => "drain",
        }
    }
}

fn entry(id: u64, payload: Vec<u8>) -> Entry {
    Entry {
        id,
        priority: priority(topic::lane_of(id)),
        payload,
    }
}
