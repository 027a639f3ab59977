//! What a node keeps things in, as its settings say: embedded, or on servers that nodes share.
//!
//! The only module that chooses between backends. What cannot be used says what and where, without secrets.

use std::path::Path;

use backends::{Cache, Metadata, Queue, Sql, memory, mysql, redis, sqlite};
use capabilities::Backends;
use config::Settings;

/// Opens what the settings name, for a node of this name. A relational store that cannot be reached, or whose
/// schema is not the one of this binary, is an error; other servers that cannot be used are waited for while the
/// node runs.
pub async fn open(data: &Path, node: &str, settings: &Settings) -> anyhow::Result<Backends> {
    Ok(Backends {
        sql: open_sql(data, settings).await?,
        cache: match &settings.redis.cache {
            Some(cache) => Cache::Redis(redis::open_cache(cache)?),
            None => Cache::Memory(memory::Cache::new(&settings.cache)),
        },
        metadata: match &settings.redis.metadata {
            Some(metadata) => Metadata::Redis(redis::open_metadata(metadata)?),
            None => Metadata::Memory(memory::Metadata::new(&settings.metadata)),
        },
        queue: match &settings.redis.queue {
            Some(queue) => Queue::Redis(Box::new(redis::Queue::new(queue, node)?)),
            None => Queue::Memory(memory::Queue::new(&settings.queue)),
        },
        local_queue: settings
            .redis
            .queue
            .is_some()
            .then(|| Queue::Memory(memory::Queue::new(&settings.queue))),
    })
}

/// Asks every server whether it answers, and tells of each that does not, or that refuses this node.
pub async fn check(backends: &Backends) {
    let links = [backends.cache.link(), backends.metadata.link(), backends.queue.link()];
    for link in links.into_iter().flatten() {
        if let Err(fault) = link.check().await {
            tracing::warn!(%fault, "a server does not answer, this node begins without it");
        }
    }
}

async fn open_sql(data: &Path, settings: &Settings) -> anyhow::Result<Sql> {
    let Some(mysql) = &settings.mysql else {
        let database = data.join(DATABASE);
        announce(sqlite::migrate(&database, &settings.sqlite)?);
        return Ok(Sql::Sqlite(sqlite::Sqlite::open(&database, &settings.sqlite)?));
    };
    match mysql::check(mysql).await {
        // Nothing is there yet that an older binary could still be using.
        Err(mysql::OpenError::NoDatabase { .. } | mysql::OpenError::Older { found: 0, .. }) => {
            announce(mysql::migrate(mysql).await?);
        }
        checked => checked?,
    }
    let store = mysql::Mysql::open(mysql)?;
    store.connect().await?;
    Ok(Sql::Mysql(store))
}

/// Brings the relational store to the newest schema, without starting a node.
pub async fn migrate(data: &Path, settings: &Settings) -> anyhow::Result<()> {
    let applied = match &settings.mysql {
        Some(mysql) => mysql::migrate(mysql).await?,
        None => sqlite::migrate(&data.join(DATABASE), &settings.sqlite)?,
    };
    announce(applied);
    Ok(())
}

const DATABASE: &str = "mpim.sqlite";

fn announce(applied: Vec<String>) {
    for name in applied {
        tracing::info!(migration = name, "applied");
    }
}
