//! `mpim bench host`: what the parts of the host cost, each alone, in this process. No socket is opened but those to the
//! servers that are named.

mod calls;
mod capabilities;
mod memory;
mod meter;
mod stage;

use std::fs::File;
use std::io::stderr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mpim::telemetry;
use serde::Serialize;
use tracing::Level;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use self::capabilities::On;
use self::meter::{Figure, Meter};
use self::stage::{Setting, Stage};
use crate::cli::{Failure, print};

/// What the parts of the host cost, each alone, in this process.
///
/// Each figure is the median of the repetitions, with the least and the most: the time that the process spent on
/// processors, and the time that passed. The component is built by `cargo xtask fixtures`.
#[derive(Debug, Args)]
pub(super) struct Host {
    /// The component that is called.
    #[arg(long, value_name = "FILE", default_value = "target/fixtures/bench.wasm")]
    probe: PathBuf,
    /// Repetitions of each operation that count.
    #[arg(long, value_name = "N", default_value_t = 9)]
    repeat: usize,
    /// The length of a repetition, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    repetition_ms: u64,
    /// A Redis, for what the capabilities cost on it as well. It should be there for this alone.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// A MySQL or MariaDB database, for what the capabilities cost on it as well. It should be there for this alone.
    #[arg(long, value_name = "URL")]
    mysql: Option<String>,
    /// Measures only what has this in its name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

/// The report; its fields are the JSON of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    /// What stays resident of a sandbox that has served a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_bytes: Option<u64>,
    figures: Vec<Figure>,
}

/// Measures and reports.
pub(super) async fn run(host: Host) -> Result<(), Failure> {
    log_to_nowhere()?;
    telemetry::start();
    // On a thread of the runtime, as the calls of a server are.
    let measuring = tokio::spawn(async move { measure(&host).await });
    measuring.await.map_err(Failure::other)?
}

/// Lines cost what they do, but for a terminal, and warnings are still told.
fn log_to_nowhere() -> Result<(), Failure> {
    let nowhere = File::options().write(true).open("/dev/null").map_err(Failure::other)?;
    let lines = tracing_subscriber::fmt().with_ansi(false).with_target(false);
    // An error means that a subscriber is there already.
    let _ = lines
        .with_writer(stderr.with_max_level(Level::WARN).or_else(nowhere))
        .try_init();
    Ok(())
}

async fn measure(host: &Host) -> Result<(), Failure> {
    let repetition = Duration::from_millis(host.repetition_ms);
    let mut meter = Meter::new(host.repeat, repetition, !host.json, host.only.clone());
    let embedded = Setting {
        probe: &host.probe,
        redis: None,
        mysql: None,
        sandboxes_max: 64,
    };
    // First, while this process has nothing else.
    let sandbox_bytes = match &host.only {
        None => Some(memory::of_a_sandbox(&embedded).await?),
        Some(_) => None,
    };
    if let (Some(bytes), false) = (sandbox_bytes, host.json) {
        print(&format!("a warm sandbox keeps {} KiB resident", bytes / 1024))?;
    }
    let stage = Stage::open(&embedded).await?;
    calls::measure(&mut meter, &stage).await?;
    capabilities::measure(&mut meter, &stage, On::Embedded).await?;
    if let Some(redis) = host.redis.as_deref() {
        let setting = Setting {
            redis: Some(redis),
            ..embedded.clone()
        };
        capabilities::measure(&mut meter, &Stage::open(&setting).await?, On::Redis).await?;
    }
    if let Some(mysql) = host.mysql.as_deref() {
        let setting = Setting {
            mysql: Some(mysql),
            ..embedded
        };
        capabilities::measure(&mut meter, &Stage::open(&setting).await?, On::Mysql).await?;
    }
    let report = Report {
        sandbox_bytes,
        figures: meter.figures(),
    };
    if host.json {
        print(&serde_json::to_string(&report).map_err(Failure::other)?)?;
    }
    Ok(())
}
