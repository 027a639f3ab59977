//! Leases and locks, by the rules of [`keyspace`].

use std::rc::Rc;

use keyspace::Metadata;

use crate::Backend;
use crate::bindings::exports::mpim::host::metadata::{Error, Guest, Lease};
use crate::link::Link;

/// Bytes of a name, as on our own host.
const NAME_BYTES: usize = 1024;

thread_local! {
    static METADATA: Rc<Metadata<&'static Link>> =
        Rc::new(Metadata::new(Box::leak(Box::new(Link::new("metadata"))), NAME_BYTES));
}

/// The one of this instance.
pub(crate) fn metadata() -> Rc<Metadata<&'static Link>> {
    METADATA.with(Rc::clone)
}

impl Guest for Backend {
    async fn put(leases: Vec<Lease>) -> Result<Vec<bool>, Error> {
        let leases = leases.into_iter().map(|lease| contract::metadata::Lease {
            set: lease.set,
            member: lease.member,
            ttl_ms: lease.ttl_ms,
        });
        Ok(metadata().put(leases.collect()).await?)
    }

    async fn remove(set: String, member: String) -> Result<bool, Error> {
        Ok(metadata().remove(&set, &member).await?)
    }

    async fn members(sets: Vec<String>) -> Result<Vec<Vec<String>>, Error> {
        Ok(metadata().members(&sets).await?)
    }

    async fn count(set: String) -> Result<u64, Error> {
        Ok(metadata().count(&set).await?)
    }

    async fn lock(name: String, owner: String, ttl_ms: u64) -> Result<Option<u64>, Error> {
        Ok(metadata().lock(&name, &owner, ttl_ms).await?)
    }

    async fn unlock(name: String, owner: String) -> Result<bool, Error> {
        Ok(metadata().unlock(&name, &owner).await?)
    }
}
