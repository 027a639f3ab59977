//! The metadata in Redis, over the link of its role.

use std::sync::Arc;

use contract::Fault;
use serde::Deserialize;

use super::link::Link;
use super::settings::Settings;

/// Sets of leases, and locks, that all nodes share.
pub type Metadata = keyspace::Metadata<Arc<Link>>;

/// The bounds of the metadata in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataSettings {
    /// The servers.
    pub server: Settings,
    /// Bytes of a name of a set, a member, a lock or an owner; one more is `invalid`.
    pub name_bytes_max: usize,
}

impl Default for MetadataSettings {
    fn default() -> Self {
        Self {
            server: Settings::default(),
            name_bytes_max: 1024,
        }
    }
}

impl MetadataSettings {
    /// Begins to connect, without waiting for it. Fails if the settings cannot be. Must be called within a runtime.
    pub fn open(&self) -> Result<Metadata, Fault> {
        let link = Link::new("metadata", &self.server)?;
        Ok(Metadata::new(Arc::new(link), self.name_bytes_max))
    }
}
