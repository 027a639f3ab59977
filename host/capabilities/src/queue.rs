//! `mpim:host/queue` over its backend. Groups are the function's own; topics are shared, so that functions can talk to
//! each other through them.

use contract::queue::Priority;
use runtime::State;
use wasmtime::component::{Accessor, HasSelf};
use wire::push::shared_topic;

use crate::bindings::mpim::host::queue as wit;
use crate::bindings::mpim::host::types::{Error, Priority as WitPriority};
use crate::guest::{Guest, guest};
use crate::verdict::guarded;

impl wit::Host for State<Guest> {}

impl<T: Send + 'static> wit::HostWithStore<T> for HasSelf<State<Guest>> {
    async fn publish(
        accessor: &Accessor<T, Self>,
        topic: String,
        priority: WitPriority,
        payload: Vec<u8>,
    ) -> Result<u64, Error> {
        let guest = guest(accessor);
        let (services, topic) = (&guest.services, shared_topic(&topic));
        Ok(guarded(
            &services.queue_calls,
            services.queue.publish(&topic, priority.into(), payload),
        )
        .await?)
    }

    async fn receive(
        accessor: &Accessor<T, Self>,
        topic: String,
        group: String,
        max: u32,
        wait_ms: u32,
    ) -> Result<Vec<wit::Entry>, Error> {
        let guest = guest(accessor);
        let topic = shared_topic(&topic);
        let (services, group) = (&guest.services, guest.scoped(&group));
        let entries = guarded(
            &services.queue_calls,
            services.queue.receive(&topic, &group, max, wait_ms),
        )
        .await?;
        Ok(entries
            .into_iter()
            .map(|entry| wit::Entry {
                id: entry.id,
                priority: entry.priority.into(),
                payload: entry.payload,
            })
            .collect())
    }

    async fn ack(accessor: &Accessor<T, Self>, topic: String, group: String, ids: Vec<u64>) -> Result<u32, Error> {
        let guest = guest(accessor);
        let (services, topic) = (&guest.services, shared_topic(&topic));
        let group = guest.scoped(&group);
        Ok(guarded(&services.queue_calls, services.queue.ack(&topic, &group, &ids)).await?)
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
