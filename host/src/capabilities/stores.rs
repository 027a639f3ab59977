//! `mpim:host/metadata` and `queue` over their backends. Sets, locks and groups are the
//! function's own; topics are shared, so that functions can talk to each other through them.

use wasmtime::component::{Accessor, HasSelf};

use super::wit::types::{Error, Priority as WitPriority};
use super::wit::{metadata, queue};
use super::{Guest, push};
use backends::{Lease, Priority};

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
        Ok(guest.node.metadata.put(scoped.collect()).await?)
    }

    async fn remove(accessor: &Accessor<T, Self>, set: String, member: String) -> Result<bool, Error> {
        let guest = guest(accessor);
        Ok(guest.node.metadata.remove(&guest.scoped(&set), &member).await?)
    }

    async fn members(accessor: &Accessor<T, Self>, sets: Vec<String>) -> Result<Vec<Vec<String>>, Error> {
        let guest = guest(accessor);
        let sets: Vec<_> = sets.iter().map(|set| guest.scoped(set)).collect();
        Ok(guest.node.metadata.members(&sets).await?)
    }

    async fn count(accessor: &Accessor<T, Self>, set: String) -> Result<u64, Error> {
        let guest = guest(accessor);
        Ok(guest.node.metadata.count(&guest.scoped(&set)).await?)
    }

    async fn lock(
        accessor: &Accessor<T, Self>,
        name: String,
        owner: String,
        ttl_ms: u64,
    ) -> Result<Option<u64>, Error> {
        let guest = guest(accessor);
        Ok(guest.node.metadata.lock(guest.scoped(&name), owner, ttl_ms).await?)
    }

    async fn unlock(accessor: &Accessor<T, Self>, name: String, owner: String) -> Result<bool, Error> {
        let guest = guest(accessor);
        Ok(guest.node.metadata.unlock(&guest.scoped(&name), &owner).await?)
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
        Ok(guest
            .node
            .queue
            .publish(&push::shared_topic(&topic), priority.into(), payload)
            .await?)
    }

    async fn receive(
        accessor: &Accessor<T, Self>,
        topic: String,
        group: String,
        max: u32,
        wait_ms: u32,
    ) -> Result<Vec<queue::Entry>, Error> {
        let guest = guest(accessor);
        let topic = push::shared_topic(&topic);
        let entries = guest
            .node
            .queue
            .receive(&topic, &guest.scoped(&group), max, wait_ms)
            .await?;
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
        Ok(guest
            .node
            .queue
            .ack(&push::shared_topic(&topic), &guest.scoped(&group), &ids)
            .await?)
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
