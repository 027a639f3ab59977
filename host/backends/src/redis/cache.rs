//! The cache in Redis, over the link of its role.

use std::sync::Arc;

use contract::Fault;
use contract::cache::Bounds;
use serde::Deserialize;

use super::link::Link;
use super::settings::Settings;

/// A cache that all nodes share.
pub type Cache = keyspace::Cache<Arc<Link>>;

/// The bounds of a cache in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// The servers.
    pub server: Settings,
    /// Bytes of one key with its value; one more is `invalid`.
    pub entry_bytes_max: usize,
    /// Values of one list; one more is `overloaded`.
    pub list_length_max: usize,
    /// Bytes of one value of a list; one more is `invalid`.
    pub list_value_bytes_max: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        let bounds = Bounds::default();
        Self {
            server: Settings::default(),
            entry_bytes_max: bounds.entry_bytes_max,
            list_length_max: bounds.list_length_max,
            list_value_bytes_max: bounds.list_value_bytes_max,
        }
    }
}

impl CacheSettings {
    /// Begins to connect, without waiting for it. Fails if the settings cannot be. Must be called within a runtime.
    pub fn open(&self) -> Result<Cache, Fault> {
        let link = Link::new("cache", &self.server)?;
        let bounds = Bounds {
            entry_bytes_max: self.entry_bytes_max,
            list_length_max: self.list_length_max,
            list_value_bytes_max: self.list_value_bytes_max,
        };
        Ok(Cache::new(Arc::new(link), bounds))
    }
}
