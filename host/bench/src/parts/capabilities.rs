//! What the capabilities cost: one ask of a component, the way into the host and back included, on each backend.

use std::time::Instant;

use config::{BreakerSettings, ms};
use contract::sql::Value;
use policy::Breaker;
use runtime::Val;
use tokio::task::JoinSet;

use super::meter::Meter;
use super::stage::{Callee, LONG, Stage, told};
use crate::failure::Failure;

/// Calls at once, where that is another thing than one after the other.
const AT_ONCE: u32 = 32;

/// An ask as the component names it, and as people do.
type Work = (&'static str, &'static str);

const OWN: [Work; 7] = [
    ("idle", "an empty turn of the component's loop"),
    ("next-id", "ids.next"),
    ("setting", "config.value"),
    ("breaker", "breaker.allow and report"),
    ("rate-limit", "rate-limit.acquire"),
    ("counter", "telemetry.counter"),
    ("log-line", "telemetry.log, written to nowhere"),
];
const STORES: [Work; 6] = [
    ("cache-get", "cache.get"),
    ("cache-set", "cache.set"),
    ("cache-lookup", "cache.lookup of what is cached"),
    ("metadata-put", "metadata.put"),
    ("metadata-members", "metadata.members"),
    ("queue", "queue.publish, receive and ack"),
];
const SQL: [Work; 3] = [
    ("sql-query", "sql.query by key"),
    ("sql-execute", "sql.execute of one update"),
    ("sql-batch", "sql.batch of two updates and a select"),
];

/// Which of its asks go to servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// None.
    Embedded,
    /// Those for Redis.
    Redis,
    /// Those for MySQL.
    Mysql,
}

/// Measures what a component asks of a node.
pub(super) async fn measure(meter: &mut Meter, stage: &Stage, on: On) -> Result<(), Failure> {
    let functions = stage.load(|_| {}).await?;
    let repeat = functions.method("repeat")?;
    functions.method("prepare")?.call(Vec::new()).await?;
    let done = match on {
        On::Embedded => embedded(meter, stage, &repeat).await,
        On::Redis => both_ways(meter, "Redis", &repeat, &STORES).await,
        On::Mysql => both_ways(meter, "MySQL", &repeat, &SQL).await,
    };
    functions.method("clear")?.call(Vec::new()).await?;
    done
}

async fn embedded(meter: &mut Meter, stage: &Stage, repeat: &Callee) -> Result<(), Failure> {
    for work in OWN.into_iter().chain(STORES) {
        one_by_one(meter, work.1, repeat, work.0).await?;
    }
    both_ways(meter, "SQLite", repeat, &SQL).await?;
    one_by_one(meter, "password.hash", repeat, "password").await?;
    alone(meter, stage).await
}

/// One after the other, and many at once.
async fn both_ways(meter: &mut Meter, on: &str, repeat: &Callee, works: &[Work]) -> Result<(), Failure> {
    for (work, name) in works {
        one_by_one(meter, &format!("{on}: {name}"), repeat, work).await?;
    }
    for (work, name) in works {
        at_once(meter, &format!("{on}: {name}, {AT_ONCE} at once"), repeat, work).await?;
    }
    Ok(())
}

fn arguments(work: &str, times: u32) -> Vec<Val> {
    vec![Val::Enum(work.to_owned()), Val::U32(times)]
}

async fn one_by_one(meter: &mut Meter, name: &str, repeat: &Callee, work: &str) -> Result<(), Failure> {
    let asks = async |operations| repeat.call(arguments(work, operations)).await.map(|_| ());
    meter.measure(name, asks).await
}

async fn at_once(meter: &mut Meter, name: &str, repeat: &Callee, work: &str) -> Result<(), Failure> {
    let asks = async |times| {
        let mut running = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (callee, arguments) = (repeat.clone(), arguments(work, times));
            running.spawn(async move { callee.call(arguments).await });
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(told)??;
        }
        Ok(())
    };
    meter.measure_rounds(name, AT_ONCE, asks).await
}

/// What stands behind some capabilities, without a component before it.
async fn alone(meter: &mut Meter, stage: &Stage) -> Result<(), Failure> {
    let node = &stage.services;
    let query = async |operations| {
        for turn in 0..operations {
            let (sql, params) = (
                "SELECT name FROM users WHERE id = ?",
                Value::Integer(i64::from(turn % 64 + 1)),
            );
            let rows = node.sql.query(sql.to_owned(), vec![params], Instant::now() + LONG);
            rows.await.map_err(|error| Failure::other(format!("{error:?}")))?;
        }
        Ok(())
    };
    meter.measure("backend alone: SQLite, query by key", query).await?;
    let get = async |operations| {
        for _ in 0..operations {
            node.cache.get("probe/probe").await.map_err(told)?;
        }
        Ok(())
    };
    meter.measure("backend alone: cache in the process, get", get).await?;
    let settings = BreakerSettings::default();
    let breaker = Breaker::new(settings.failures, ms(settings.open_ms));
    meter
        .measure_now("breaker alone: allow and report", || {
            let now = Instant::now();
            if std::hint::black_box(&breaker).allow(now) {
                breaker.report(true, now);
            }
        })
        .await?;
    meter
        .measure_now("ids alone: next", || {
            let _ = std::hint::black_box(node.ids.next());
        })
        .await?;
    meter
        .measure_now("metrics as text (/admin/metrics)", || {
            drop(std::hint::black_box(telemetry::prometheus()));
        })
        .await
}
