//! Queues: topics are shared by all functions, groups of consumers are the function's own.

use crate::bindings::exports::mpim::host::queue::{Entry, Error, Guest, Priority};
use crate::bindings::mpim::host::queue as shared;
use crate::scope::Scope;
use crate::settings::scoped;

impl Guest for Scope {
    async fn publish(topic: String, priority: Priority, payload: Vec<u8>) -> Result<u64, Error> {
        shared::publish(topic, priority, payload).await
    }

    async fn receive(topic: String, group: String, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Error> {
        let entries = shared::receive(topic, scoped(&group), max, wait_ms).await?;
        let entries = entries.into_iter().map(|entry| Entry {
            id: entry.id,
            priority: entry.priority,
            payload: entry.payload,
        });
        Ok(entries.collect())
    }

    async fn ack(topic: String, group: String, ids: Vec<u64>) -> Result<u32, Error> {
        shared::ack(topic, scoped(&group), ids).await
    }
}
