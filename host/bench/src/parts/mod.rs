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
use tracing::Level;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use self::capabilities::On;
use self::meter::Meter;
use self::stage::{Setting, Stage};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::record::{Point, Record, Row};
use crate::terms::{EMBEDDED, Runs};

/// What the parts of the host cost, each alone, in this process.
///
/// Each figure is the median of the repetitions, which are the runs, with the least and the most: the time that the
/// process spent on processors, and the time that passed. The component is built by `cargo xtask fixtures`.
#[derive(Debug, Args)]
// Counting how many operations fill a repetition warms up.
#[command(mut_arg("warm_up", |arg| arg.default_value("0")), mut_arg("repeat", |arg| arg.default_value("9")))]
pub(crate) struct Host {
    /// The component that is called.
    #[arg(long, value_name = "FILE", default_value = "target/fixtures/bench-probe.wasm")]
    probe: PathBuf,
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
    #[command(flatten)]
    runs: Runs,
}

/// Measures and reports.
pub(crate) async fn run(host: Host) -> Result<(), Failure> {
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
    let mut meter = Meter::new(host.runs.clone(), repetition, host.only.clone());
    let embedded = Setting {
        probe: &host.probe,
        redis: None,
        mysql: None,
        sandboxes_max: 64,
    };
    // First, while this process has nothing else.
    let mut record = host.record();
    if host.only.is_none() {
        let bytes = memory::of_a_sandbox(&embedded).await?;
        let once = Figures::default().with("resident_bytes", bytes as f64);
        let row = Row::new(Point::named("a warm sandbox"), Vec::new(), vec![once]);
        host.runs.say(&row.to_string())?;
        record.rows.push(row);
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
    record.rows.extend(meter.rows());
    host.runs.tell(record)
}

impl Host {
    /// A record of nothing yet.
    fn record(&self) -> Record {
        let settings = Figures::default().with("repetition_ms", self.repetition_ms as f64);
        let named = [(&self.redis, "Redis"), (&self.mysql, "MySQL")];
        let named = named.into_iter().filter(|(url, _)| url.is_some());
        let named: String = named.map(|(_, name)| format!(", and {name} for its rows")).collect();
        Record {
            server: format!("the parts of the host in this process, on embedded storage{named}"),
            durability: match named.is_empty() {
                true => EMBEDDED.to_owned(),
                false => format!("{EMBEDDED}; on servers that are named, their own, see the notes"),
            },
            ..self.runs.record("host", settings)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Host;

    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        _host: Host,
    }

    #[test]
    fn short_repetitions_are_many() {
        let command = Alone::command();
        let default = |id: &str| {
            command
                .get_arguments()
                .find(|arg| arg.get_id() == id)?
                .get_default_values()
                .first()
        };
        assert_eq!(default("repeat").and_then(|value| value.to_str()), Some("9"));
        assert_eq!(default("warm_up").and_then(|value| value.to_str()), Some("0"));
    }
}
