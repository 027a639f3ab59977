//! The settings of the host: one typed tree, read from `[application.tool.mpim]` of the manifest.
//!
//! Every limit of the host stands here with its unit and its default. Unknown keys are refused.
//! It says what backends and policies may be told, and knows nothing of what they do.

mod batch;
mod breaker;
mod cluster;
mod function;
mod gateway;
pub mod manifest;
mod memory;
mod method;
mod mysql;
mod pool;
mod positive;
mod rate;
mod read_through;
mod redis;
mod remote;
mod sandbox;
mod sqlite;

use std::time::Duration;

use serde::Deserialize;

pub use batch::BatchSettings;
pub use breaker::BreakerSettings;
pub use cluster::ClusterSettings;
pub use function::{ConfigValue, FunctionSettings, PasswordSettings, TelemetrySettings};
pub use gateway::GatewaySettings;
pub use memory::{MemoryCacheSettings, MemoryMetadataSettings, MemoryQueueSettings};
pub use method::{MethodName, Timer};
pub use mysql::MysqlSettings;
pub use pool::PoolSettings;
pub use rate::Rate;
pub use read_through::ReadThroughSettings;
pub use redis::{
    RedisCacheSettings, RedisMetadataSettings, RedisQueueSettings, RedisServerSettings, RedisSettings, RedisTopology,
    RedisWay,
};
pub use remote::RemoteSettings;
pub use sandbox::SandboxSettings;
pub use sqlite::{SqliteSettings, SqliteSynchronous};

/// `[application.tool.mpim]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// This node among others.
    pub cluster: ClusterSettings,
    /// Sockets, frames and the hooks of connections.
    pub gateway: GatewaySettings,
    /// Calls that are made as one.
    pub batch: BatchSettings,
    /// Calls of remote functions.
    pub remote: RemoteSettings,
    /// Sandboxes of all functions together.
    pub sandboxes: SandboxSettings,
    /// The embedded store.
    pub sqlite: SqliteSettings,
    /// A store on MySQL or MariaDB, instead of the embedded one.
    pub mysql: Option<MysqlSettings>,
    /// Redis, by what it is for, instead of what is in this process.
    pub redis: RedisSettings,
    /// The in-process cache.
    pub cache: MemoryCacheSettings,
    /// What goes through the cache to a store.
    pub read_through: ReadThroughSettings,
    /// The in-process metadata store.
    pub metadata: MemoryMetadataSettings,
    /// The in-process queue.
    pub queue: MemoryQueueSettings,
    /// Argon2id.
    pub password: PasswordSettings,
    /// Circuit breakers of functions and of components' own names.
    pub breaker: BreakerSettings,
    /// Logs and metrics that components write.
    pub telemetry: TelemetrySettings,
    /// Calls that the host makes again and again.
    pub timer: Vec<Timer>,
}

impl Settings {
    /// Keeps everything that lasts in a database on MySQL.
    pub fn use_mysql(&mut self, url: &str) {
        url.clone_into(&mut self.mysql.get_or_insert_default().url);
    }

    /// Uses one Redis for everything that Redis can be for.
    pub fn use_redis(&mut self, url: &str) {
        let urls = vec![url.to_owned()];
        self.redis.cache.get_or_insert_default().server.urls.clone_from(&urls);
        self.redis
            .metadata
            .get_or_insert_default()
            .server
            .urls
            .clone_from(&urls);
        self.redis.queue.get_or_insert_default().server.urls = urls;
    }
}

/// Milliseconds of a setting as a duration.
pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
