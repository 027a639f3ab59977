//! `mpim bench http`: calls over HTTP on kept connections, of a server of its own whose only function is the probe.

mod load;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::net::lookup_host;

use self::load::Outcome;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::{Folder, Process, Server, Spent};
use crate::record::{Point, Record, Row};
use crate::terms::Runs;

/// Calls over HTTP on kept connections.
///
/// The server runs a component that is built by `cargo xtask fixtures`, and nothing else. The load comes from one thread
/// of this process. A database and a Redis that are named should be there for this alone.
#[derive(Debug, Args)]
pub(crate) struct Http {
    /// The component that is called.
    #[arg(long, value_name = "FILE", default_value = "target/fixtures/bench-probe.wasm")]
    probe: PathBuf,
    /// Connections at once.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 32])]
    connections: Vec<u32>,
    /// The length of a run, in seconds.
    #[arg(long, value_name = "S", default_value_t = 3)]
    seconds: u64,
    /// A Redis for the cache; the cache of the process when absent.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// A MySQL or MariaDB database; the embedded store when absent.
    #[arg(long, value_name = "URL")]
    mysql: Option<String>,
    /// Measures only what has this in its name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// One more process whose time on processors is told, such as mariadb=4711.
    #[arg(long, value_name = "NAME=PID")]
    cpu_of: Vec<Process>,
    #[command(flatten)]
    runs: Runs,
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
pub(crate) async fn run(http: Http) -> Result<(), Failure> {
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
    let own = [server.process(), Process::own()];
    let processes: Vec<_> = own.into_iter().chain(http.cpu_of.iter().cloned()).collect();
    once(address, "/v1/probe/prepare")?;
    let rows = http.rows(&processes, address).await;
    once(address, "/v1/probe/clear")?;
    http.runs.tell(Record {
        rows: rows?,
        ..http.record()
    })
}

/// Makes a call without arguments.
fn once(address: SocketAddr, path: &str) -> Result<(), Failure> {
    // A run ends after the first answer that comes when its time has passed.
    offer(address, vec![request(path, Some("{}"))], Duration::from_nanos(1)).map(|_| ())
}

fn offer(address: SocketAddr, requests: Vec<Vec<u8>>, lasts: Duration) -> Result<Outcome, Failure> {
    tokio::task::block_in_place(|| load::run(address, requests, lasts))
}

impl Http {
    /// A record of nothing yet.
    fn record(&self) -> Record {
        let settings = Figures::default().with("seconds", self.seconds as f64);
        let cache = self.redis.as_ref().map_or("in the process", |_| "in Redis");
        let store = self.mysql.as_ref().map_or("embedded", |_| "in MySQL");
        Record {
            server: format!("mpim up with the probe alone, its cache {cache}, its store {store}"),
            durability: "only what is cached is written".to_owned(),
            ..self.runs.record("http", settings)
        }
    }

    async fn rows(&self, processes: &[Process], address: SocketAddr) -> Result<Vec<Row>, Failure> {
        let named = |kind: &&Kind| self.only.as_ref().is_none_or(|only| kind.name.contains(only.as_str()));
        let mut rows = Vec::new();
        for kind in KINDS.iter().filter(named) {
            for connections in self.connections.iter().copied() {
                let name = match connections {
                    1 => format!("{}, 1 connection", kind.name),
                    more => format!("{}, {more} connections", kind.name),
                };
                let point = Point::named(name).with("connections", f64::from(connections));
                let once = async |_: &str| self.once(kind, connections, processes, address);
                rows.push(self.runs.row(point, once).await?);
            }
        }
        Ok(rows)
    }

    fn once(
        &self,
        kind: &Kind,
        connections: u32,
        processes: &[Process],
        address: SocketAddr,
    ) -> Result<Figures, Failure> {
        let requests = (0..connections).map(|number| request(kind.path, kind.body.map(|body| body(number)).as_deref()));
        let requests: Vec<_> = requests.collect();
        let spent = Spent::by(processes);
        let outcome = offer(address, requests, Duration::from_secs(self.seconds))?;
        let answered = outcome.answered as f64;
        let mut figures = Figures::default().with("requests_per_s", answered / outcome.took.as_secs_f64().max(1e-9));
        for (name, thousandths) in [("p50_us", 500), ("p99_us", 990)] {
            figures.set(name, outcome.latencies.quantile_us(thousandths) as f64);
        }
        spent.each(&mut figures, answered);
        Ok(figures)
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
