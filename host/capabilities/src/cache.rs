//! `mpim:host/cache` over its backend, and what goes through it to a store.
//!
//! Keys are those of the function's space. Lookups are counted by what they found, so that the share of hits of each
//! function can be read from its metrics.

use contract::cache::{End, Filled, Found};
use runtime::State;
use wasmtime::component::{Accessor, HasSelf};

use crate::bindings::mpim::host::cache as wit;
use crate::bindings::mpim::host::types::Error;
use crate::guest::{Guest, guest};

impl Guest {
    /// A key of the function's space. No name of a function begins as these do, so that nothing that is set
    /// by itself is taken for the other half of a lookup.
    fn looked_up(&self, key: &str) -> String {
        format!("~{}/{key}", self.granted.cache_space)
    }

    fn all_looked_up(&self, keys: &[String]) -> Vec<String> {
        keys.iter().map(|key| self.looked_up(key)).collect()
    }

    fn cached(&self, key: &str) -> String {
        format!("{}/{key}", self.granted.cache_space)
    }
}

impl wit::Host for State<Guest> {}

impl<T: Send + 'static> wit::HostWithStore<T> for HasSelf<State<Guest>> {
    async fn lookup(accessor: &Accessor<T, Self>, keys: Vec<String>) -> Result<Vec<wit::Found>, Error> {
        let guest = guest(accessor);
        let (services, function) = (&guest.services, &guest.granted.function);
        let keys = guest.all_looked_up(&keys);
        let (found, tally) = services.read_through.lookup(&services.cache, function, &keys).await?;
        guest.granted.lookups.count(tally);
        Ok(found.into_iter().map(wit::Found::from).collect())
    }

    async fn fill(accessor: &Accessor<T, Self>, entries: Vec<wit::Filled>) {
        let guest = guest(accessor);
        let (services, function) = (&guest.services, &guest.granted.function);
        let entries = entries.into_iter().map(Filled::from).collect();
        if let Err(error) = services.read_through.fill(&services.cache, function, entries).await {
            guest.granted.lookups.failed_fills.increment(1);
            tracing::debug!(%function, %error, "what was loaded is not cached");
        }
    }

    async fn forget(accessor: &Accessor<T, Self>, keys: Vec<String>) {
        let guest = guest(accessor);
        let services = &guest.services;
        if let Err(error) = services
            .read_through
            .forget(&services.cache, &guest.all_looked_up(&keys))
            .await
        {
            guest.granted.lookups.failed_forgets.increment(1);
            let function = &guest.granted.function;
            tracing::warn!(%function, %error, keys = keys.len(), "what was changed stays cached until its time ends");
        }
    }

    async fn get(accessor: &Accessor<T, Self>, key: String) -> Result<Option<Vec<u8>>, Error> {
        let guest = guest(accessor);
        Ok(guest.services.cache.get(&guest.cached(&key)).await?)
    }

    async fn get_many(accessor: &Accessor<T, Self>, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let guest = guest(accessor);
        let keys: Vec<_> = keys.iter().map(|key| guest.cached(key)).collect();
        Ok(guest.services.cache.get_many(&keys).await?)
    }

    async fn set(accessor: &Accessor<T, Self>, key: String, value: Vec<u8>, ttl_ms: u64) -> Result<(), Error> {
        let guest = guest(accessor);
        Ok(guest.services.cache.set(guest.cached(&key), value, ttl_ms).await?)
    }

    async fn delete(accessor: &Accessor<T, Self>, key: String) -> Result<(), Error> {
        let guest = guest(accessor);
        Ok(guest.services.cache.delete(&guest.cached(&key)).await?)
    }

    async fn increment(accessor: &Accessor<T, Self>, key: String, by: i64, ttl_ms: u64) -> Result<i64, Error> {
        let guest = guest(accessor);
        Ok(guest.services.cache.increment(guest.cached(&key), by, ttl_ms).await?)
    }

    async fn decrement(accessor: &Accessor<T, Self>, key: String, by: i64, ttl_ms: u64) -> Result<i64, Error> {
        let guest = guest(accessor);
        Ok(guest.services.cache.decrement(guest.cached(&key), by, ttl_ms).await?)
    }

    async fn exists(accessor: &Accessor<T, Self>, key: String) -> Result<bool, Error> {
        let guest = guest(accessor);
        Ok(guest.services.cache.exists(&guest.cached(&key)).await?)
    }

    async fn push_left(
        accessor: &Accessor<T, Self>,
        key: String,
        values: Vec<Vec<u8>>,
        ttl_ms: u64,
    ) -> Result<u64, Error> {
        let guest = guest(accessor);
        let (services, key) = (&guest.services, guest.cached(&key));
        Ok(services.cache.push(End::Left, key, values, ttl_ms).await?)
    }

    async fn push_right(
        accessor: &Accessor<T, Self>,
        key: String,
        values: Vec<Vec<u8>>,
        ttl_ms: u64,
    ) -> Result<u64, Error> {
        let guest = guest(accessor);
        let (services, key) = (&guest.services, guest.cached(&key));
        Ok(services.cache.push(End::Right, key, values, ttl_ms).await?)
    }

    async fn range(accessor: &Accessor<T, Self>, key: String, start: i64, stop: i64) -> Result<Vec<Vec<u8>>, Error> {
        let guest = guest(accessor);
        Ok(guest.services.cache.range(&guest.cached(&key), start, stop).await?)
    }
}

impl From<Found> for wit::Found {
    fn from(found: Found) -> Self {
        match found {
            Found::Value(value) => Self::Value(value),
            Found::Absent => Self::Absent,
            Found::Load(ticket) => Self::Load(ticket),
        }
    }
}

impl From<wit::Filled> for Filled {
    fn from(filled: wit::Filled) -> Self {
        Self {
            ticket: filled.ticket,
            value: filled.value,
            ttl_ms: filled.ttl_ms,
        }
    }
}
