//! The metadata in Redis, over the link of its role.

use std::sync::Arc;

use config::RedisMetadataSettings;
use contract::Fault;

use super::link::Link;

/// Sets of leases, and locks, that all nodes share.
pub type Metadata = keyspace::Metadata<Arc<Link>>;

/// Begins to connect to metadata, without waiting for it. Fails if the settings cannot be. Must be called within a
/// runtime.
pub fn open_metadata(settings: &RedisMetadataSettings) -> Result<Metadata, Fault> {
    let link = Link::new("metadata", &settings.server)?;
    Ok(Metadata::new(Arc::new(link), settings.name_bytes_max))
}
