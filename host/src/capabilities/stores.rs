//! `mpim:host/metadata` and `queue` over their backends. Sets, locks and groups are the
//! function's own; topics are shared, so that functions can talk to each other through them.

use wasmtime::component::{Accessor, HasSelf};

use super::wit::types::{Error, Priority as WitPriority};
use super::wit::{metadata, queue};
use super::{Guest, guarded};
use contract::metadata::Lease;
use contract::queue::Priority;
use wire::push::shared_topic;

/// The sandbox's view, taken out of its store so that nothing is borrowed while waiting.
pub(super) fn guest<T: 'static>(accessor: &Accessor<T, HasSelf<Guest>>) -> Guest {
    accessor.with(|mut access| access.get().clone())
}

impl metadata::Host for Guest {}

impl<T: Send + 'static> metadata::HostWithStore<T> for HasSelf<Guest> {
    async fn put(accessor: &Accessor<T, Self>, leases: Vec<metadata::Lease>) -> Result<Vec<bool>, Error> {
        let guest = guest(accessor);
        let scoped = leases.into_iter().map(|lease| Lease {
            set: guest.scoped(&lease.set),
            member: lease.member,
            ttl_ms: lease.ttl_ms,
        });
        let node = &guest.node;
        Ok(guarded(&node.metadata_calls, node.metadata.put(scoped.collect())).await?)
    }

    async fn remove(accessor: &Accessor<T, Self>, set: String, member: String) -> Result<bool, Error> {
        let guest = guest(accessor);
        let (node, set) = (&guest.node, guest.scoped(&set));
        Ok(guarded(&node.metadata_calls, node.metadata.remove(&set, &member)).await?)
    }

    async fn members(accessor: &Accessor<T, Self>, sets: Vec<String>) -> Result<Vec<Vec<String>>, Error> {
        let guest = guest(accessor);
        let sets: Vec<_> = sets.iter().map(|set| guest.scoped(set)).collect();
        let node = &guest.node;
        Ok(guarded(&node.metadata_calls, node.metadata.members(&sets)).await?)
    }

    async fn count(accessor: &Accessor<T, Self>, set: String) -> Result<u64, Error> {
        let guest = guest(accessor);
        let (node, set) = (&guest.node, guest.scoped(&set));
        Ok(guarded(&node.metadata_calls, node.metadata.count(&set)).await?)
    }

    async fn lock(
        accessor: &Accessor<T, Self>,
        name: String,
        owner: String,
        ttl_ms: u64,
    ) -> Result<Option<u64>, Error> {
        let guest = guest(accessor);
        let (node, name) = (&guest.node, guest.scoped(&name));
        Ok(guarded(&node.metadata_calls, node.metadata.lock(name, owner, ttl_ms)).await?)
    }

    async fn unlock(accessor: &Accessor<T, Self>, name: String, owner: String) -> Result<bool, Error> {
        let guest = guest(accessor);
        let (node, name) = (&guest.node, guest.scoped(&name));
        Ok(guarded(&node.metadata_calls, node.metadata.unlock(&name, &owner)).await?)
    }
}

impl queue::Host for Guest {}

impl<T: Send + 'static> queue::HostWithStore<T> for HasSelf<Guest> {
    async fn publish(
        accessor: &Accessor<T, Self>,
        topic: String,
        priority: WitPriority,
        payload: Vec<u8>,
    ) -> Result<u64, Error> {
        let guest = guest(accessor);
        let (node, topic) = (&guest.node, shared_topic(&topic));
        Ok(guarded(&node.queue_calls, node.queue.publish(&topic, priority.into(), payload)).await?)
    }

    async fn receive(
        accessor: &Accessor<T, Self>,
        topic: String,
        group: String,
        max: u32,
        wait_ms: u32,
    ) -> Result<Vec<queue::Entry>, Error> {
        let guest = guest(accessor);
        let topic = shared_topic(&topic);
        let (node, group) = (&guest.node, guest.scoped(&group));
        let entries = guarded(&node.queue_calls, node.queue.receive(&topic, &group, max, wait_ms)).await?;
        Ok(entries
            .into_iter()
            .map(|entry| queue::Entry {
                id: entry.id,
                priority: entry.priority.into(),
                payload: entry.payload,
            })
            .collect())
    }

    async fn ack(accessor: &Accessor<T, Self>, topic: String, group: String, ids: Vec<u64>) -> Result<u32, Error> {
        let guest = guest(accessor);
        let (node, topic) = (&guest.node, shared_topic(&topic));
        let group = guest.scoped(&group);
        Ok(guarded(&node.queue_calls, node.queue.ack(&topic, &group, &ids)).await?)
    }
}

impl From<WitPriority> for Priority {
    fn from(priority: WitPriority) -> Self {
        match priority {
            WitPriority::Low => Self::Low,
            WitPriority::Normal => Self::Normal,
            WitPriority::High => Self::High,
            WitPriority::Urgent => Self::Urgent,
        }
    }
}

impl From<Priority> for WitPriority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Urgent => Self::Urgent,
        }
    }
}
