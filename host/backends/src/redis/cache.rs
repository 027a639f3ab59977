//! The cache in Redis, over the link of its role.

use std::sync::Arc;

use config::RedisCacheSettings;
use contract::Fault;
use contract::cache::Bounds;

use super::link::Link;

/// A cache that all nodes share.
pub type Cache = keyspace::Cache<Arc<Link>>;

/// Begins to connect to a cache, without waiting for it. Fails if the settings cannot be. Must be called within a
/// runtime.
pub fn open_cache(settings: &RedisCacheSettings) -> Result<Cache, Fault> {
    let link = Link::new("cache", &settings.server)?;
    let bounds = Bounds {
        entry_bytes_max: settings.entry_bytes_max,
        list_length_max: settings.list_length_max,
        list_value_bytes_max: settings.list_value_bytes_max,
    };
    Ok(Cache::new(Arc::new(link), bounds))
}
