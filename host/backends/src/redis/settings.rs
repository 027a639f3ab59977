//! What a role must know to reach its Redis. It makes no connection: the link does.

use std::fmt;

use serde::{Deserialize, Deserializer};

use super::address::shown;
use crate::pool;

/// The settings of one role: where its servers are, and how they are used.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `redis://[[user]:password@]host[:port][/database]`, one or a list. Of a replicated server the first is the
    /// master and the others are its replicas; of a cluster any of its nodes.
    #[serde(deserialize_with = "one_or_many")]
    pub urls: Vec<String>,
    /// What these servers are to each other.
    pub topology: Topology,
    /// What every key of the role begins with; empty is `mpim:ROLE:`.
    pub prefix: String,
    /// Connections to each server that all callers share.
    pub connections: usize,
    /// Connections that one caller has for itself while it waits for something to come.
    pub pool: pool::Settings,
    /// How long the making of a shared connection may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a call may take, with the wait for a connection, in milliseconds.
    pub response_timeout_ms: u64,
    /// The longest pause between two attempts to connect again, in milliseconds.
    pub reconnect_pause_ms: u64,
}

/// What the servers of a role are to each other.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// One server.
    #[default]
    Single,
    /// A master and its replicas, which answer reads that may be stale.
    Replicated,
    /// A Redis Cluster.
    Cluster,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            urls: vec!["redis://127.0.0.1:6379".to_owned()],
            topology: Topology::Single,
            prefix: String::new(),
            connections: 2,
            pool: pool::Settings::default(),
            connect_timeout_ms: 1_000,
            response_timeout_ms: 1_000,
            reconnect_pause_ms: 500,
        }
    }
}

/// Without the URLs as they are written: they may hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("servers", &self.urls.iter().map(|url| shown(url)).collect::<Vec<_>>())
            .field("topology", &self.topology)
            .field("prefix", &self.prefix)
            .field("connections", &self.connections)
            .field("pool", &self.pool)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("response_timeout_ms", &self.response_timeout_ms)
            .field("reconnect_pause_ms", &self.reconnect_pause_ms)
            .finish()
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Urls {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Urls::deserialize(deserializer)? {
        Urls::One(url) => vec![url],
        Urls::Many(urls) => urls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_or_a_list_is_read_and_an_unknown_key_is_refused() {
        let one: Settings = toml::from_str("urls = 'redis://a:1'").unwrap();
        assert_eq!(one.urls, ["redis://a:1"]);
        let many: Settings = toml::from_str("urls = ['redis://a:1', 'redis://b:2']\ntopology = 'cluster'").unwrap();
        assert_eq!((many.urls.len(), many.topology), (2, Topology::Cluster));
        assert!(toml::from_str::<Settings>("url = 'redis://a:1'").is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = Settings {
            urls: vec!["redis://me:hush@a:1/2".to_owned(), "hush".to_owned()],
            ..Settings::default()
        };
        let shown = format!("{settings:?}");
        assert!(shown.contains("a:1") && !shown.contains("hush"), "{shown}");
    }
}
