//! Queues in Redis Streams, by the rules of [`keyspace`].

use std::rc::Rc;

use keyspace::{Full, Look, TopicSettings, Topics};
use wire::push::shared_topic;

use crate::Backend;
use crate::bindings::exports::mpim::host::queue::{Entry, Error, Guest, Priority};
use crate::link::Link;
use crate::patience::pause;

/// Bytes of one payload, and of a name; as on our own host.
const PAYLOAD_BYTES: usize = 1024 * 1024;
/// Entries that one `receive` gives.
const RECEIVE_MAX: u32 = 1024;
/// How long a receiver that found nothing waits before it asks again, in milliseconds. A blocking read would hold up
/// everybody else on the connection.
const LOOK_EVERY_MS: u64 = 100;

/// All instances are one consumer: who died with an entry open has it given again after its time, not at once.
const CONSUMER: &str = "spin";

type Queues = Topics<&'static Link>;

thread_local! {
    static TOPICS: Rc<Queues> = Rc::new(Topics::new(
        Box::leak(Box::new(Link::new("queue"))),
        TopicSettings::default(),
        CONSUMER,
    ));
}

/// Those of this instance.
pub(crate) fn topics() -> Rc<Queues> {
    TOPICS.with(Rc::clone)
}

impl Guest for Backend {
    async fn publish(topic: String, priority: Priority, payload: Vec<u8>) -> Result<u64, Error> {
        fits(payload.len().max(topic.len()))?;
        let topic = shared_topic(&topic);
        Ok(topics()
            .publish(&topic, priority.into(), &payload, Full::Refuses)
            .await?)
    }

    async fn receive(topic: String, group: String, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Error> {
        fits(topic.len().max(group.len()))?;
        let (topic, max) = (shared_topic(&topic), max.min(RECEIVE_MAX));
        let mut left_ms = u64::from(wait_ms);
        loop {
            let taken = topics().take(&topic, &group, max, Look::Everywhere).await?;
            if !taken.entries.is_empty() || max == 0 || left_ms == 0 {
                return Ok(taken.entries.into_iter().map(Entry::from).collect());
            }
            let step_ms = left_ms.min(LOOK_EVERY_MS);
            pause(step_ms).await;
            left_ms -= step_ms;
        }
    }

    async fn ack(topic: String, group: String, ids: Vec<u64>) -> Result<u32, Error> {
        Ok(topics().ack(&shared_topic(&topic), &group, &ids).await?)
    }
}

fn fits(bytes: usize) -> Result<(), Error> {
    if bytes > PAYLOAD_BYTES {
        return Err(Error::Invalid(format!("a payload has at most {PAYLOAD_BYTES} bytes")));
    }
    Ok(())
}

impl From<contract::queue::Entry> for Entry {
    fn from(entry: contract::queue::Entry) -> Self {
        Self {
            id: entry.id,
            priority: entry.priority.into(),
            payload: entry.payload,
        }
    }
}

impl From<Priority> for contract::queue::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Urgent => Self::Urgent,
        }
    }
}

impl From<contract::queue::Priority> for Priority {
    fn from(priority: contract::queue::Priority) -> Self {
        match priority {
            contract::queue::Priority::Low => Self::Low,
            contract::queue::Priority::Normal => Self::Normal,
            contract::queue::Priority::High => Self::High,
            contract::queue::Priority::Urgent => Self::Urgent,
        }
    }
}
