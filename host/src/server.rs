//! A running node: opens its storage, loads its functions, serves until it is told to stop.
//!
//! The only place that knows how the parts are put together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::breakers::Breaker;
use crate::capabilities::{Ids, Node, Passwords, Peers};
use crate::cluster::Member;
use crate::config::{Settings, ms};
use crate::dispatch::Dispatch;
use crate::engine::{Engine, create_private, hex};
use crate::gateway::{Functions, Gateway};
use crate::manifest::{Application, FunctionSource, Source};
use crate::remote::Remote;
use crate::storage::{self, Storage};
use crate::timers::{self, Timers};
use crate::{gateway, telemetry};
use backends::read_through::ReadThrough;

/// What `mpim up` was asked for.
#[derive(Debug)]
pub struct Options {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The folder of the node's files.
    pub data: PathBuf,
    /// The name of the node, over that of the manifest.
    pub node: Option<String>,
    /// The application.
    pub application: Chosen,
    /// Where its functions run, when that is not here.
    pub remote: Option<Elsewhere>,
    /// The operator's token, in place of the one that is kept in the folder.
    pub operator_token: Option<String>,
}

/// Functions that run elsewhere.
#[derive(Debug)]
pub struct Elsewhere {
    /// Where.
    pub url: String,
    /// The token of their operator; none: it is that of this node's.
    pub token: Option<String>,
}

/// An application, and the servers that were named beside its manifest.
#[derive(Debug)]
pub struct Chosen {
    /// Where it comes from.
    pub source: Source,
    /// A MySQL database.
    pub mysql: Option<String>,
    /// A Redis for everything.
    pub redis: Option<String>,
}

impl Chosen {
    /// Reads the application, with what was said beside it.
    fn read(&self) -> anyhow::Result<Application> {
        let mut application = self.source.read()?;
        if let Some(url) = &self.mysql {
            application.settings.use_mysql(url);
        }
        if let Some(url) = &self.redis {
            application.settings.use_redis(url);
        }
        Ok(application)
    }
}

/// A node that serves. Dropping it without [`Server::stop`] is like a crash.
pub struct Server {
    address: SocketAddr,
    gateway: Arc<Gateway>,
    drain: gateway::Drain,
    /// Ends when it has answered everything after draining began.
    serving: JoinSet<()>,
    tasks: JoinSet<()>,
    timers: Timers,
    member: Arc<Member>,
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
            mut settings,
            functions,
            ..
        } = options.application.read()?;
        settings.cluster.node = options.node.or(settings.cluster.node);
        let lock = claim(&options.data)?;
        let identity = identity(&options.data)?;
        let operator_token = operator_token(&options.data, options.operator_token)?;
        let remote = match options.remote {
            Some(elsewhere) => Some(remote(elsewhere, &operator_token, &settings)?),
            None => None,
        };
        let node = Arc::new(node(&options.data, &identity, &settings).await?);
        // Bound before the functions are loaded: a port that is taken is told at once.
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let functions = match remote {
            Some(remote) => Functions::There(Box::new(remote)),
            None => Functions::Here(load(functions, &options.data, &settings, &node).await?),
        };
        let functions = Arc::new(functions);
        timers::check(&settings.timer, &functions)?;
        let (gateway, drain) = Gateway::new(node.clone(), functions.clone(), settings.gateway, operator_token)?;
        gateway.probe().await?;
        let resync_spread = ms(settings.cluster.resync_spread_ms);
        let (member, mut worker) = Member::join(node.clone(), identity, settings.cluster).await?;
        let member = Arc::new(member);
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
        tasks.spawn(async move { shared.catch_up(resync_spread).await });
        let shared = gateway.clone();
        tasks.spawn(async move { shared.report_written().await });
        let (shared, living) = (gateway.clone(), member.clone());
        tasks.spawn(async move { living.live(&shared).await });
        tasks.spawn(async move { worker.keep().await });
        let timers = Timers::new(&settings.timer, functions.clone(), member.clone());
        timers.run(&mut tasks);
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_EVERY).await;
                if let Some(dispatch) = functions.here() {
                    dispatch.reap();
                }
                node.measure();
                telemetry::upkeep();
            }
        });
        Ok(Self {
            address,
            gateway,
            drain,
            serving,
            tasks,
            timers,
            member,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, calls in flight are answered, connections are closed with a reason, timers are run a
    /// last time, storage is closed.
    pub async fn stop(self) {
        let Self {
            gateway,
            drain,
            mut serving,
            mut tasks,
            timers,
            member,
            ..
        } = self;
        drain.drain(&gateway, serving.join_next()).await;
        tasks.shutdown().await;
        timers.run_last().await;
        member.leave().await;
    }
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

/// Brings the database to the newest schema, without starting a node.
pub async fn migrate_only(data: &Path, application: Chosen) -> anyhow::Result<()> {
    telemetry::start();
    let settings = application.read()?.settings;
    // A database elsewhere has nothing in the folder, and a node may run on it meanwhile.
    let _lock = settings.mysql.is_none().then(|| claim(data)).transpose()?;
    storage::migrate(data, &settings).await
}

/// Loads the functions of an application, to run here.
async fn load(
    functions: BTreeMap<String, FunctionSource>,
    data: &Path,
    settings: &Settings,
    node: &Arc<Node>,
) -> anyhow::Result<Arc<Dispatch>> {
    let engine = Engine::new(&settings.sandboxes, Some(data.join("cache")))
        .map_err(anyhow::Error::from)
        .context("the WebAssembly engine cannot be made")?;
    Ok(Dispatch::load(functions, settings, &Arc::new(engine), node).await?)
}

/// The way to functions elsewhere. What they have for clients of this node comes through the servers that both share.
fn remote(elsewhere: Elsewhere, operator_token: &str, settings: &Settings) -> anyhow::Result<Remote> {
    let Settings { mysql, redis, .. } = settings;
    anyhow::ensure!(
        mysql.is_some() && redis.metadata.is_some() && redis.queue.is_some(),
        "functions that run elsewhere reach this node through servers that they share with it: name them with --mysql \
         and --redis"
    );
    let remote = Remote::new(
        &elsewhere.url,
        elsewhere.token.as_deref().unwrap_or(operator_token),
        settings.remote.clone(),
        settings.breaker.clone(),
        settings.gateway.answer_max_bytes,
    );
    Ok(remote?)
}

/// The least length of a token that was chosen by somebody.
const TOKEN_LETTERS: usize = 16;

/// The token of the operator.
fn operator_token(data: &Path, given: Option<String>) -> anyhow::Result<String> {
    let Some(token) = given else {
        return kept_secret(&data.join("operator.token"), 32);
    };
    anyhow::ensure!(
        token.len() >= TOKEN_LETTERS && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "the operator's token must have at least {TOKEN_LETTERS} characters, all of them visible ASCII"
    );
    Ok(token)
}

/// What tells this data folder from every other.
fn identity(data: &Path) -> anyhow::Result<String> {
    kept_secret(&data.join("node.id"), 16)
}

/// Random bytes in hexadecimal, made at the first start, readable by the owner alone.
fn kept_secret(path: &Path, bytes: usize) -> anyhow::Result<String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::read_to_string(path) {
        Ok(token) if !token.trim().is_empty() => return Ok(token.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let token = hex(&random);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(file, "{token}").with_context(|| format!("cannot write {}", path.display()))?;
    Ok(token)
}

/// How much of the identity of a node is enough for a name.
const NAME_LETTERS: usize = 8;

/// What the functions of a node share: opens its storage in a folder. The identity names it where the settings do not.
pub async fn node(data: &Path, identity: &str, settings: &Settings) -> anyhow::Result<Node> {
    let made = || format!("node-{}", identity.get(..NAME_LETTERS).unwrap_or(identity));
    let name = settings.cluster.node.clone().unwrap_or_else(made);
    let storage = Storage::open(data, &name, settings).await?;
    storage.check().await;
    Ok(Node {
        sql: storage.sql,
        sql_reads: Breaker::new(settings.breaker.clone()),
        sql_writes: Breaker::new(settings.breaker.clone()),
        cache: storage.cache,
        read_through: ReadThrough::new(settings.read_through.clone()),
        metadata: storage.metadata,
        metadata_calls: Breaker::new(settings.breaker.clone()),
        queue: storage.queue,
        near: storage.near,
        queue_calls: Breaker::new(settings.breaker.clone()),
        peers: Peers::new(&name),
        name: name.into(),
        ids: Ids::default(),
        passwords: Passwords::new(settings.password.clone()),
    })
}
