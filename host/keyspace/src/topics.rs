//! Queues as Redis Streams, one operation a script and one round trip: kept until every group has ended them, shared
//! by all.
//!
//! Owns the keys of a topic and the scripts that change them. Priorities are lanes, a stream each. Whatever the server
//! lost is made again where it is missed. A receiver that finds nothing is told so: waiting is not known here.

use std::time::Duration;

use crate::link::Link;
use crate::script::Script;
use crate::topic::{self, lane, priority};
use contract::Fault;
use contract::queue::{Entry, Priority};

/// How many entries may overtake a waiting lane before it has its turn, as in memory.
const PATIENCE: u32 = 8;
/// Ids that one script ends.
const ACK_MAX: usize = 512;

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(
            include_str!("topics/topic.lua"),
            include_str!(concat!("topics/", $name))
        ))
    };
}

/// The bounds of topics. All who share a Redis should have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Entries of one topic that are not ended; one more is `Overloaded`.
    pub per_topic_max: usize,
    /// Groups of consumers of one topic; one more is `Overloaded`.
    pub groups_max: usize,
    /// Bytes of payloads after which one look gives no more entries, give or take 64 entries.
    pub receive_bytes_max: usize,
    /// When an entry that was not acknowledged is given again, in milliseconds, give or take an eighth.
    pub redeliver_after_ms: u64,
    /// How long a topic without groups keeps an entry, in milliseconds.
    pub retain_ms: u64,
    /// When a group that neither receives nor acknowledges is forgotten, in milliseconds.
    pub group_idle_ms: u64,
    /// About how many entries of a topic are kept for a replay after they ended; 0 keeps none.
    pub replay_max: usize,
    /// Entries of a topic that could not be decoded and are kept for an operator.
    pub undecodable_max: usize,
    /// When a topic that nobody uses vanishes, in milliseconds.
    pub topic_idle_ms: u64,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            per_topic_max: 65_536,
            groups_max: 64,
            receive_bytes_max: 4 * 1024 * 1024,
            redeliver_after_ms: 30_000,
            retain_ms: 600_000,
            group_idle_ms: 3_600_000,
            replay_max: 1024,
            undecodable_max: 100,
            topic_idle_ms: 24 * 60 * 60 * 1000,
        }
    }
}

/// What a full topic does with one entry more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Refuses it.
    Refuses,
    /// Drops its oldest: nobody may be reading.
    DropsOldest,
}

/// Which entries a consumer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// What is known to wait.
    Known,
    /// What is found in any lane.
    Everywhere,
    /// Also what other consumers have open.
    Drain,
}

/// What a look gave.
#[derive(Debug)]
pub struct Taken {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The last id of the topic.
    pub last: u64,
    /// When to look for late entries.
    pub again: Option<Duration>,
    /// How many could not be decoded and were kept as dead entries.
    pub undecodable: u64,
}

/// Payloads with their ids.
type Payloads = Vec<(u64, Vec<u8>)>;

/// The topics of a cluster, for one consumer.
#[derive(Debug)]
pub struct Topics<L> {
    link: L,
    settings: TopicSettings,
    consumer: String,
    publish: Script,
    receive: Script,
    acknowledge: Script,
    remove: Script,
}

impl<L: Link> Topics<L> {
    /// Over a link. No two who receive have the same name as a consumer.
    pub fn new(link: L, settings: TopicSettings, consumer: &str) -> Self {
        Self {
            link,
            settings,
            consumer: consumer.to_owned(),
            publish: script!("publish.lua"),
            receive: script!("receive.lua"),
            acknowledge: script!("acknowledge.lua"),
            remove: script!("remove.lua"),
        }
    }

    /// The way to the servers.
    pub fn link(&self) -> &L {
        &self.link
    }

    /// Appends an entry; its id.
    pub async fn publish(&self, topic: &str, priority: Priority, payload: &[u8], full: Full) -> Result<u64, Fault> {
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

    /// Ends entries for a group; how many were open.
    pub async fn ack(&self, topic: &str, group: &str, ids: &[u64]) -> Result<u32, Fault> {
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

    /// Forgets a topic without entries; whether it is gone.
    pub async fn remove(&self, topic: &str) -> Result<bool, Fault> {
        self.link.run(&self.remove, &self.keys(topic), &self.args(&[])).await
    }

    /// Up to `max` entries for a group, of those that a look finds now.
    pub async fn take(&self, topic: &str, group: &str, max: u32, look: Look) -> Result<Taken, Fault> {
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
        let (crowded, last, again, undecodable, entries): (bool, u64, i64, u64, Payloads) =
            self.link.run(&self.receive, &self.keys(topic), &args).await?;
        if crowded {
            return Err(Fault::Overloaded(format!(
                "the topic has {} groups",
                settings.groups_max
            )));
        }
        Ok(Taken {
            entries: entries.into_iter().map(|(id, payload)| entry(id, payload)).collect(),
            last,
            again: u64::try_from(again).ok().map(Duration::from_millis),
            undecodable,
        })
    }

    /// The keys of a topic.
    pub fn keys(&self, topic: &str) -> Vec<String> {
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

/// An entry, whose id tells its priority.
pub fn entry(id: u64, payload: Vec<u8>) -> Entry {
    Entry {
        id,
        priority: priority(topic::lane_of(id)),
        payload,
    }
}
