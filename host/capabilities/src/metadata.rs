//! `mpim:host/metadata` over its backend. Sets and locks are the function's own.

use contract::metadata::Lease;
use runtime::State;
use wasmtime::component::{Accessor, HasSelf};

use crate::bindings::mpim::host::metadata as wit;
use crate::bindings::mpim::host::types::Error;
use crate::guest::{Guest, guest};
use crate::verdict::guarded;

impl wit::Host for State<Guest> {}

impl<T: Send + 'static> wit::HostWithStore<T> for HasSelf<State<Guest>> {
    async fn put(accessor: &Accessor<T, Self>, leases: Vec<wit::Lease>) -> Result<Vec<bool>, Error> {
        let guest = guest(accessor);
        let scoped = leases.into_iter().map(|lease| Lease {
            set: guest.scoped(&lease.set),
            member: lease.member,
            ttl_ms: lease.ttl_ms,
        });
        let services = &guest.services;
        Ok(guarded(&services.metadata_calls, services.metadata.put(scoped.collect())).await?)
    }

    async fn remove(accessor: &Accessor<T, Self>, set: String, member: String) -> Result<bool, Error> {
        let guest = guest(accessor);
        let (services, set) = (&guest.services, guest.scoped(&set));
        Ok(guarded(&services.metadata_calls, services.metadata.remove(&set, &member)).await?)
    }

    async fn members(accessor: &Accessor<T, Self>, sets: Vec<String>) -> Result<Vec<Vec<String>>, Error> {
        let guest = guest(accessor);
        let sets: Vec<_> = sets.iter().map(|set| guest.scoped(set)).collect();
        let services = &guest.services;
        Ok(guarded(&services.metadata_calls, services.metadata.members(&sets)).await?)
    }

    async fn count(accessor: &Accessor<T, Self>, set: String) -> Result<u64, Error> {
        let guest = guest(accessor);
        let (services, set) = (&guest.services, guest.scoped(&set));
        Ok(guarded(&services.metadata_calls, services.metadata.count(&set)).await?)
    }

    async fn lock(
        accessor: &Accessor<T, Self>,
        name: String,
        owner: String,
        ttl_ms: u64,
    ) -> Result<Option<u64>, Error> {
        let guest = guest(accessor);
        let (services, name) = (&guest.services, guest.scoped(&name));
        Ok(guarded(&services.metadata_calls, services.metadata.lock(name, owner, ttl_ms)).await?)
    }

    async fn unlock(accessor: &Accessor<T, Self>, name: String, owner: String) -> Result<bool, Error> {
        let guest = guest(accessor);
        let (services, name) = (&guest.services, guest.scoped(&name));
        Ok(guarded(&services.metadata_calls, services.metadata.unlock(&name, &owner)).await?)
    }
}
