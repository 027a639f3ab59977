//! A component that harms whoever runs it: its host must let it cost nobody else anything.

mod bindings;

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::task::Poll;

use bindings::exports::test::hostile::{deep, hostile};
use bindings::mpim::host::gateway::Connection;
use bindings::mpim::host::{cache, sql, telemetry};
use bindings::mpim::im::login;
use bindings::mpim::im::types::Error;
use bindings::test::hostile::deep as own;

/// The component: see `wit/hostile.wit` for the harm that each method does.
pub struct Component;

/// For longer than any test takes.
const LONG_MS: u64 = 60_000;

impl hostile::Guest for Component {
    async fn ok() -> u32 {
        1
    }

    async fn hold(connection: Connection) -> Result<(), Error> {
        match connection.device.as_str() {
            "bomb" => std::process::abort(),
            _ => Ok(()),
        }
    }

    async fn batch_hold(calls: Vec<Connection>) -> Result<Vec<Result<(), Error>>, Error> {
        let mut held = Vec::new();
        for connection in calls {
            held.push(Self::hold(connection).await);
        }
        Ok(held)
    }

    async fn trap() {
        std::process::abort()
    }

    async fn spin() {
        spin()
    }

    fn spin_in_one_go() {
        spin()
    }

    async fn eat_memory() -> u32 {
        let mut eaten: Vec<Vec<u8>> = Vec::new();
        while u32::try_from(eaten.len()).is_ok() {
            let mut bite = Vec::new();
            if bite.try_reserve_exact(1 << 20).is_err() {
                break;
            }
            bite.resize(1 << 20, 7);
            eaten.push(black_box(bite));
        }
        // What no allocator can give is asked for in the way that most code does.
        eaten.push(vec![1; black_box(1 << 30)]);
        u32::try_from(black_box(eaten).len()).unwrap_or(u32::MAX)
    }

    async fn recurse() -> u64 {
        recurse(black_box(1))
    }

    fn giant(count: u32, length: u32) -> Vec<String> {
        giant(count, length)
    }

    async fn flood_log(lines: u32, length: u32) {
        let line = "l".repeat(usize::try_from(length).unwrap_or(0));
        for _ in 0..lines {
            telemetry::log(telemetry::Level::Error, &line, &[]);
        }
    }

    async fn flood_metrics(series: u32, length: u32) {
        let value = "v".repeat(usize::try_from(length).unwrap_or(0));
        for index in 0..series {
            let labels = [
                ("index".to_owned(), index.to_string()),
                ("value".to_owned(), value.clone()),
            ];
            telemetry::counter("test_hostile_flood", 1, &labels);
            telemetry::gauge(&format!("test_hostile_gauge_{index}"), 1.0, &labels);
            telemetry::histogram(&format!("test_hostile_histogram_{index}"), 1.0, &labels);
        }
    }

    async fn forge_metric(name: String, label: String, value: String) {
        telemetry::counter(&name, 1_000_000, &[(label, value)]);
    }

    async fn big_sql_result(rows: u64) -> Result<u64, String> {
        let statement = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) SELECT x FROM n";
        count(statement, rows).await
    }

    async fn slow_sql() -> Result<u64, String> {
        let statement =
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) SELECT COUNT(*) FROM n";
        count(statement, 1_000_000_000_000).await
    }

    async fn fill_cache(entries: u32, length: u32) -> Result<u32, cache::Error> {
        let value = vec![7; usize::try_from(length).unwrap_or(0)];
        for index in 0..entries {
            cache::set(index.to_string(), value.clone(), LONG_MS).await?;
        }
        Ok(entries)
    }

    async fn dive(depth: u32) -> Result<u32, Error> {
        dive(depth).await
    }

    async fn drag_down(calls: u32) {
        let mut running: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for index in 0..calls {
            let register = login::register(format!("dragged-{index}"), "long enough".to_owned());
            running.push(Box::pin(async { drop(register.await) }));
        }
        poll_fn(|context| {
            running.retain_mut(|call| call.as_mut().poll(context).is_pending());
            if running.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl deep::Guest for Component {
    async fn dive_on(depth: u32) -> Result<u32, Error> {
        dive(depth).await
    }
}

async fn dive(depth: u32) -> Result<u32, Error> {
    match depth.checked_sub(1) {
        Some(rest) => Ok(own::dive_on(rest).await?.saturating_add(1)),
        None => Ok(0),
    }
}

fn spin() {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    match frame.last() {
        Some(0) => 0,
        Some(last) => recurse(last.wrapping_add(1)).wrapping_add(black_box(frame).len() as u64),
        None => 0,
    }
}

async fn count(statement: &str, most: u64) -> Result<u64, String> {
    let most = sql::Value::Integer(i64::try_from(most).unwrap_or(i64::MAX));
    match sql::query(statement.to_owned(), vec![most]).await {
        Ok(rows) => Ok(rows.len() as u64),
        Err(error) => Err(format!("{error:?}")),
    }
}

#[expect(unsafe_code, reason = "texts that share their bytes are the harm that is done here")]
fn giant(count: u32, length: u32) -> Vec<String> {
    let length = usize::try_from(length).unwrap_or(0);
    let bytes = vec![1_u8; length].leak();
    (0..count)
        // SAFETY: none, and that is the point: the texts own the same bytes and would free them more than once. The
        // damage stays in the memory of the sandbox, which the host must expect to be damaged.
        .map(|_| unsafe { String::from_raw_parts(bytes.as_mut_ptr(), length, length) })
        .collect()
}
