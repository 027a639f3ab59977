//! The component that the benchmarks call: see `wit/bench.wit` for what each method asks of its host.

mod bindings;

use std::fmt::Debug;

use bindings::exports::test::bench::probe::{Guest, Profile, Work};
use bindings::mpim::host::sql::{self, Step, Value};
use bindings::mpim::host::telemetry::Level;
use bindings::mpim::host::types::Priority;
use bindings::mpim::host::{breaker, cache, config, ids, metadata, password, queue, rate_limit, telemetry};

/// The component.
pub struct Component;

/// Users and conversations of these ids belong to the benchmark: ids that the host gives are far greater.
const ROWS: u64 = 64;
const TTL_MS: u64 = 600_000;
const KEY: &str = "probe";
const SELECT: &str = "SELECT name FROM users WHERE id = ?";

impl Guest for Component {
    async fn hello(name: String) -> String {
        format!("hello {name}")
    }

    fn greet(name: String) -> String {
        format!("hello {name}")
    }

    async fn look(times: u32) -> u32 {
        let mut found = 0;
        for _ in 0..times {
            found += u32::from(matches!(cache::get("absent".to_owned()).await, Ok(Some(_))));
        }
        found
    }

    fn draw(times: u32) -> u64 {
        (0..times).fold(0, |_, _| ids::next())
    }

    async fn echo(given: Profile) -> Profile {
        given
    }

    async fn remember(key: String, value: String) -> Result<Option<String>, String> {
        let before = cache::get(key.clone()).await.map_err(told)?;
        cache::set(key, value.into_bytes(), TTL_MS).await.map_err(told)?;
        Ok(before.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn find(id: u64) -> Result<Option<String>, String> {
        let rows = sql::query(SELECT.to_owned(), vec![integer(id)]).await.map_err(told)?;
        let first = rows.into_iter().flatten().next();
        Ok(first.and_then(|value| {
            if let Value::Text(name) = value {
                Some(name)
            } else {
                None
            }
        }))
    }

    async fn repeat(what: Work, times: u32) -> Result<(), String> {
        for turn in 0..times {
            ask(what, u64::from(turn)).await?;
        }
        Ok(())
    }

    async fn prepare() -> Result<(), String> {
        clear().await?;
        let user = "INSERT INTO users (id, name, name_key, password_hash, created_at) VALUES (?, ?, ?, '', 0)";
        let conversation = "INSERT INTO conversations (id, last_seq, last_at) VALUES (?, 0, 0)";
        for id in 1..=ROWS {
            let name = Value::Text(format!("bench probe {id}"));
            execute(user, vec![integer(id), name.clone(), name]).await?;
            execute(conversation, vec![integer(id)]).await?;
        }
        cache::set(KEY.to_owned(), vec![b'x'; 64], TTL_MS).await.map_err(told)?;
        metadata::put(vec![lease()]).await.map_err(told)?;
        Ok(())
    }

    async fn clear() -> Result<(), String> {
        clear().await
    }
}

async fn ask(what: Work, turn: u64) -> Result<(), String> {
    let key = || KEY.to_owned();
    match what {
        Work::Idle => {}
        Work::NextId => drop(std::hint::black_box(ids::next())),
        Work::Setting => drop(std::hint::black_box(config::value(KEY))),
        Work::Breaker => {
            if breaker::allow(KEY) {
                breaker::report(KEY, true);
            }
        }
        Work::RateLimit => rate_limit::acquire(KEY, "key", 1).map_err(told)?,
        Work::Counter => telemetry::counter("bench_probe_total", 1, &[("kind".to_owned(), key())]),
        Work::LogLine => telemetry::log(Level::Info, "a line of the benchmark", &[("turn".to_owned(), key())]),
        Work::CacheGet => drop(cache::get(key()).await.map_err(told)?),
        Work::CacheSet => cache::set(key(), vec![b'x'; 64], TTL_MS).await.map_err(told)?,
        Work::CacheLookup => look_up().await?,
        Work::MetadataPut => drop(metadata::put(vec![lease()]).await.map_err(told)?),
        Work::MetadataMembers => drop(metadata::members(vec![key()]).await.map_err(told)?),
        Work::Queue => there_and_back().await?,
        Work::SqlQuery => drop(
            sql::query(SELECT.to_owned(), vec![integer(row(turn))])
                .await
                .map_err(told)?,
        ),
        Work::SqlExecute => {
            let update = "UPDATE users SET created_at = created_at + 1 WHERE id = ?";
            execute(update, vec![integer(row(turn))]).await?;
        }
        Work::SqlBatch => batch(row(turn)).await?,
        Work::Password => drop(
            password::hash("the password of the probe".to_owned())
                .await
                .map_err(told)?,
        ),
    }
    Ok(())
}

/// What is not cached is loaded, once.
async fn look_up() -> Result<(), String> {
    for found in cache::lookup(vec![KEY.to_owned()]).await.map_err(told)? {
        if let cache::Found::Load(ticket) = found {
            let value = Some(vec![b'x'; 64]);
            cache::fill(vec![cache::Filled {
                ticket,
                value,
                ttl_ms: TTL_MS,
            }])
            .await;
        }
    }
    Ok(())
}

async fn there_and_back() -> Result<(), String> {
    let (topic, group) = ("bench", "probe");
    queue::publish(topic.to_owned(), Priority::Normal, vec![b'x'; 64])
        .await
        .map_err(told)?;
    let entries = queue::receive(topic.to_owned(), group.to_owned(), 16, 0)
        .await
        .map_err(told)?;
    let ids = entries.iter().map(|entry| entry.id).collect();
    queue::ack(topic.to_owned(), group.to_owned(), ids)
        .await
        .map_err(told)?;
    Ok(())
}

async fn batch(id: u64) -> Result<(), String> {
    let step = |sql: &str| Step {
        sql: sql.to_owned(),
        params: vec![integer(id)],
        at_least: 1,
        taken: Vec::new(),
    };
    let steps = [
        "UPDATE conversations SET last_seq = last_seq + 1 WHERE id = ?",
        "UPDATE users SET created_at = created_at + 1 WHERE id = ?",
        "SELECT last_seq FROM conversations WHERE id = ?",
    ];
    sql::batch(steps.map(step).to_vec()).await.map_err(told)?;
    Ok(())
}

async fn clear() -> Result<(), String> {
    for sql in [
        "DELETE FROM users WHERE id <= ?",
        "DELETE FROM conversations WHERE id <= ?",
    ] {
        execute(sql, vec![integer(ROWS)]).await?;
    }
    Ok(())
}

async fn execute(sql: &str, params: Vec<Value>) -> Result<u64, String> {
    sql::execute(sql.to_owned(), params).await.map_err(told)
}

fn lease() -> metadata::Lease {
    metadata::Lease {
        set: KEY.to_owned(),
        member: "member".to_owned(),
        ttl_ms: TTL_MS,
    }
}

fn row(turn: u64) -> u64 {
    turn % ROWS + 1
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn told(error: impl Debug) -> String {
    format!("{error:?}")
}
