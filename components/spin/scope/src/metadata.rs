//! Sets and locks of the function.

use crate::bindings::exports::mpim::host::metadata::{Error, Guest, Lease};
use crate::bindings::mpim::host::metadata as shared;
use crate::scope::Scope;
use crate::settings::scoped;

impl Guest for Scope {
    async fn put(leases: Vec<Lease>) -> Result<Vec<bool>, Error> {
        let leases = leases.into_iter().map(|lease| shared::Lease {
            set: scoped(&lease.set),
            member: lease.member,
            ttl_ms: lease.ttl_ms,
        });
        shared::put(leases.collect()).await
    }

    async fn remove(set: String, member: String) -> Result<bool, Error> {
        shared::remove(scoped(&set), member).await
    }

    async fn members(sets: Vec<String>) -> Result<Vec<Vec<String>>, Error> {
        let sets = sets.iter().map(|set| scoped(set)).collect();
        shared::members(sets).await
    }

    async fn count(set: String) -> Result<u64, Error> {
        shared::count(scoped(&set)).await
    }

    async fn lock(name: String, owner: String, ttl_ms: u64) -> Result<Option<u64>, Error> {
        shared::lock(scoped(&name), owner, ttl_ms).await
    }

    async fn unlock(name: String, owner: String) -> Result<bool, Error> {
        shared::unlock(scoped(&name), owner).await
    }
}
