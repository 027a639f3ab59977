//! A running node: opens its storage, loads its functions, serves until it is told to stop.
//!
//! The only place that knows how the parts are put together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::breakers::Breaker;
use crate::capabilities::{Ids, Node, Passwords};
use crate::config::{Settings, Timer, ms};
use crate::deployments::{LoadError, Method};
use crate::dispatch::Dispatch;
use crate::engine::{Engine, create_private, hex};
use crate::gateway::Gateway;
use crate::manifest::{Application, Source};
use crate::{gateway, telemetry};
use backends::aside::Aside;
use backends::{Cache, Metadata, Queue, Sql, memory, sqlite};

/// What `mpim up` was asked for.
#[derive(Debug)]
pub struct Options {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The folder of the node's files.
    pub data: PathBuf,
    /// The application.
    pub source: Source,
}

/// A node that serves. Dropping it without [`Server::stop`] is like a crash.
pub struct Server {
    address: SocketAddr,
    gateway: Arc<Gateway>,
    drain: gateway::Drain,
    /// Ends when it has answered everything after draining began.
    serving: JoinSet<()>,
    tasks: JoinSet<()>,
    node: Arc<Node>,
    /// Held while the node runs: no other process may use the folder.
    _lock: std::fs::File,
}

/// How often idle sandboxes are looked for, and metrics tidied up.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

impl Server {
    /// Starts a node. What is wrong says what and where.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        telemetry::start();
        let Application {
            settings, functions, ..
        } = options.source.read()?;
        let lock = claim(&options.data)?;
        let database = migrate(&options.data, &settings.sqlite)?;
        let operator_token = operator_token(&options.data)?;
        let node = Arc::new(node(&database, &settings)?);
        let engine = Engine::new(&settings.sandboxes, Some(options.data.join("cache")))
            .map_err(anyhow::Error::from)
            .context("the WebAssembly engine cannot be made")?;
        // Bound before the functions are loaded: a port that is taken is told at once.
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let dispatch = Dispatch::load(functions, &settings, &Arc::new(engine), &node).await?;
        let timers = settings.timer.iter().map(|timer| timer_of(&dispatch, timer));
        let timers = timers.collect::<Result<Vec<_>, _>>()?;
        let (gateway, drain) = Gateway::new(node.clone(), dispatch.clone(), settings.gateway, operator_token)?;
        let (mut serving, mut tasks) = (JoinSet::new(), JoinSet::new());
        let shared = gateway.clone();
        serving.spawn(async move {
            if let Err(error) = shared.serve(listener).await {
                tracing::error!(%error, "the gateway stopped");
            }
        });
        let shared = gateway.clone();
        tasks.spawn(async move { shared.fan_out().await });
        let shared = gateway.clone();
        tasks.spawn(async move { shared.renew().await });
        let shared = gateway.clone();
        tasks.spawn(async move { shared.report_written().await });
        for (method, every) in timers {
            let dispatch = dispatch.clone();
            tasks.spawn(async move {
                loop {
                    tokio::time::sleep(every).await;
                    match dispatch.system(&method, Vec::new()).await {
                        Ok(Ok(_)) => {}
                        failed => tracing::warn!(method = method.full_name(), ?failed, "a timer's call failed"),
                    }
                }
            });
        }
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_EVERY).await;
                dispatch.reap();
                telemetry::upkeep();
            }
        });
        Ok(Self {
            address,
            gateway,
            drain,
            serving,
            tasks,
            node,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, calls in flight are answered, connections are closed with a reason,
    /// storage is closed.
    pub async fn stop(self) {
        let Self {
            gateway,
            drain,
            mut serving,
            mut tasks,
            node,
            ..
        } = self;
        drain.drain(&gateway, serving.join_next()).await;
        tasks.shutdown().await;
        drop(node);
    }
}

/// The method that a timer calls, and how often.
fn timer_of(dispatch: &Dispatch, timer: &Timer) -> Result<(Arc<Method>, Duration), LoadError> {
    let method = dispatch.named(&timer.call, "a timer")?;
    if method.parameters.is_empty() {
        return Ok((method, ms(timer.every_ms)));
    }
    Err(LoadError::MethodMismatch {
        name: method.full_name(),
        purpose: "a timer",
        reason: "it must take no parameters".to_owned(),
    })
}

/// Makes the folder and takes it for this process.
fn claim(data: &Path) -> anyhow::Result<std::fs::File> {
    create_private(data).with_context(|| format!("cannot make the data folder {}", data.display()))?;
    let path = data.join("mpim.lock");
    let file = std::fs::File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("the data folder {} is in use by another mpim", data.display())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Brings the database of a data folder to the newest schema; gives its file.
fn migrate(data: &Path, settings: &sqlite::Settings) -> anyhow::Result<PathBuf> {
    let database = data.join("mpim.sqlite");
    for name in sqlite::migrate(&database, settings)? {
        tracing::info!(migration = name, "applied");
    }
    Ok(database)
}

/// Brings the database of a data folder to the newest schema, without starting a node.
pub fn migrate_only(data: &Path) -> anyhow::Result<()> {
    telemetry::start();
    let _lock = claim(data)?;
    migrate(data, &sqlite::Settings::default()).map(|_| ())
}

/// The token of the operator, made at the first start, readable by the owner alone.
fn operator_token(data: &Path) -> anyhow::Result<String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = data.join("operator.token");
    match std::fs::read_to_string(&path) {
        Ok(token) if !token.trim().is_empty() => return Ok(token.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let token = hex(&random);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(file, "{token}").with_context(|| format!("cannot write {}", path.display()))?;
    Ok(token)
}

fn node(database: &Path, settings: &Settings) -> anyhow::Result<Node> {
    Ok(Node {
        name: settings.node.name.as_str().into(),
        sql: Sql::Sqlite(sqlite::Sqlite::open(database, &settings.sqlite)?),
        sql_reads: Breaker::new(settings.breaker.clone()),
        sql_writes: Breaker::new(settings.breaker.clone()),
        cache: Cache::Memory(memory::Cache::new(&settings.cache)),
        aside: Aside::new(settings.aside.clone()),
        metadata: Metadata::Memory(memory::Metadata::new(&settings.metadata)),
        queue: Queue::Memory(memory::Queue::new(&settings.queue)),
        ids: Ids::new(settings.node.worker),
        passwords: Passwords::new(settings.password.clone()),
    })
}
