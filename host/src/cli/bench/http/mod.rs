//! `mpim bench http`: calls over HTTP on kept connections, of a server of its own whose only function is the probe.

mod load;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::net::lookup_host;

use self::load::Outcome;
use super::process::{Folder, Process, Server};
use crate::cli::{Failure, print};

/// Calls over HTTP on kept connections.
///
/// The server runs a component that is built by `cargo xtask fixtures`, and nothing else. The load comes from one thread
/// of this process. A database and a Redis that are named should be there for this alone.
#[derive(Debug, Args)]
pub(super) struct Http {
    /// The component that is called.
    #[arg(long, value_name = "FILE", default_value = "target/fixtures/bench.wasm")]
    probe: PathBuf,
    /// Connections at once.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 32])]
    connections: Vec<u32>,
    /// The length of a run, in seconds.
    #[arg(long, value_name = "S", default_value_t = 3)]
    seconds: u64,
    /// Runs that count, after one that does not.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeat: usize,
    /// A Redis for the cache; the cache of the process when absent.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// A MySQL or MariaDB database; the embedded store when absent.
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
    figures: Vec<Figure>,
}

/// What one kind of call gave at so many connections.
#[derive(Debug, Serialize)]
struct Figure {
    call: &'static str,
    connections: u32,
    median: Figures,
    runs: Vec<Figures>,
}

/// What one run gave. Of a median, each figure is its own.
#[derive(Debug, Clone, Default, Serialize)]
struct Figures {
    requests_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    /// Time on processors.
    server_us_per_request: f64,
    load_us_per_request: f64,
}

/// A kind of request.
struct Kind {
    name: &'static str,
    path: &'static str,
    /// None: it is asked for, not called.
    body: Option<fn(u32) -> String>,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "no function (GET /healthz)",
        path: "/healthz",
        body: None,
    },
    Kind {
        name: "hello",
        path: "/v1/probe/hello",
        body: Some(|_| r#"{"name":"ann"}"#.to_owned()),
    },
    Kind {
        name: "one cache get and one set",
        path: "/v1/probe/remember",
        body: Some(|connection| format!(r#"{{"key":"key {connection}","value":"{}"}}"#, "x".repeat(64))),
    },
    Kind {
        name: "one select by key",
        path: "/v1/probe/find",
        body: Some(|connection| format!(r#"{{"id":"{}"}}"#, connection % ROWS + 1)),
    },
];

/// Rows that the probe prepares.
const ROWS: u32 = 64;

/// Measures and reports.
pub(super) async fn run(http: Http) -> Result<(), Failure> {
    let manifest = Manifest::write(&http.probe)?;
    let mut more = vec!["--app".to_owned(), manifest.0.display().to_string()];
    for (option, url) in [("--redis", &http.redis), ("--mysql", &http.mysql)] {
        more.extend(url.iter().flat_map(|url| [option.to_owned(), url.clone()]));
    }
    let folder = Folder::make()?;
    let server = tokio::task::block_in_place(|| Server::start(&folder, &more))?;
    let endpoint = lookup_host(server.address().endpoint())
        .await
        .map_err(Failure::other)?
        .next();
    let address = endpoint.ok_or_else(|| Failure::other("the server has no address"))?;
    tokio::task::block_in_place(|| {
        once(address, "/v1/probe/prepare")?;
        let figures = http.figures(&server, address);
        once(address, "/v1/probe/clear")?;
        let report = Report { figures: figures? };
        match http.json {
            true => print(&serde_json::to_string(&report).map_err(Failure::other)?),
            false => Ok(()),
        }
    })
}

/// Makes a call without arguments.
fn once(address: SocketAddr, path: &str) -> Result<(), Failure> {
    // A run ends after the first answer that comes when its time has passed.
    let call = load::run(address, vec![request(path, Some("{}"))], Duration::from_nanos(1));
    call.map(|_| ())
}

impl Http {
    fn figures(&self, server: &Server, address: SocketAddr) -> Result<Vec<Figure>, Failure> {
        let named = |kind: &&Kind| self.only.as_ref().is_none_or(|only| kind.name.contains(only.as_str()));
        let mut figures = Vec::new();
        for kind in KINDS.iter().filter(named) {
            for connections in self.connections.iter().copied() {
                let mut runs = Vec::new();
                for number in 0..=self.repeat {
                    let figures = self.once(kind, connections, server, address)?;
                    runs.extend((number > 0).then_some(figures));
                }
                let figure = Figure {
                    call: kind.name,
                    connections,
                    median: Figures::median(&runs),
                    runs,
                };
                if !self.json {
                    print(&figure.line())?;
                }
                figures.push(figure);
            }
        }
        Ok(figures)
    }

    fn once(&self, kind: &Kind, connections: u32, server: &Server, address: SocketAddr) -> Result<Figures, Failure> {
        let requests = (0..connections).map(|number| request(kind.path, kind.body.map(|body| body(number)).as_deref()));
        let requests: Vec<_> = requests.collect();
        let (server, load) = (server.process(), Process::own());
        let before = (server.cpu(), load.cpu());
        let outcome = load::run(address, requests, Duration::from_secs(self.seconds))?;
        let each = |before: Option<Duration>, after: Option<Duration>| -> Result<f64, Failure> {
            let spent = after.zip(before).and_then(|(after, before)| after.checked_sub(before));
            let spent = spent.ok_or_else(|| Failure::other("this system does not tell the time on processors"))?;
            Ok(round(spent.as_secs_f64() * 1e6 / outcome.answered.max(1) as f64))
        };
        let (server_us, load_us) = (each(before.0, server.cpu())?, each(before.1, load.cpu())?);
        Ok(Figures::of(&outcome, server_us, load_us))
    }
}

/// The bytes of a request.
fn request(path: &str, body: Option<&str>) -> Vec<u8> {
    let text = match body {
        None => format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n"),
        Some(body) => format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
    };
    text.into_bytes()
}

impl Figure {
    /// For people.
    fn line(&self) -> String {
        let Self { call, connections, .. } = self;
        let of = |figure: fn(&Figures) -> f64| {
            let each = || self.runs.iter().map(figure);
            let (least, most) = (each().fold(f64::MAX, f64::min), each().fold(0.0, f64::max));
            format!("{} ({least} to {most})", figure(&self.median))
        };
        format!(
            "{call:<28} {connections:>3} connections: {} /s, p50 {} µs, p99 {} µs, server {} µs, load {} µs of CPU a request",
            of(|run| run.requests_per_s),
            of(|run| run.p50_us),
            of(|run| run.p99_us),
            of(|run| run.server_us_per_request),
            of(|run| run.load_us_per_request),
        )
    }
}

impl Figures {
    fn of(outcome: &Outcome, server_us: f64, load_us: f64) -> Self {
        Self {
            requests_per_s: (outcome.answered as f64 / outcome.took.as_secs_f64()).round(),
            p50_us: outcome.latencies.quantile_us(500) as f64,
            p99_us: outcome.latencies.quantile_us(990) as f64,
            server_us_per_request: server_us,
            load_us_per_request: load_us,
        }
    }

    /// Each figure in the middle of those of the runs.
    fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        Self {
            requests_per_s: of(|run| run.requests_per_s),
            p50_us: of(|run| run.p50_us),
            p99_us: of(|run| run.p99_us),
            server_us_per_request: of(|run| run.server_us_per_request),
            load_us_per_request: of(|run| run.load_us_per_request),
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The manifest of an application whose only function is the probe, gone with its owner.
struct Manifest(PathBuf);

impl Manifest {
    fn write(probe: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::other(format!("{}: {error}", probe.display()));
        let source = serde_json::to_string(&std::fs::canonicalize(probe).map_err(failed)?).map_err(Failure::other)?;
        let text = format!(
            "spin_manifest_version = 2\n[application]\nname = \"bench\"\n\
             [component.probe]\nsource = {source}\n[component.probe.tool.mpim]\npublic = [\"test:bench/probe\"]\n"
        );
        let manifest = Self(std::env::temp_dir().join(format!("mpim-bench-http-{}.toml", std::process::id())));
        std::fs::write(&manifest.0, text).map_err(failed)?;
        Ok(manifest)
    }
}

impl Drop for Manifest {
    fn drop(&mut self) {
        // Nobody reads it any more.
        let _ = std::fs::remove_file(&self.0);
    }
}
