//! A running node: opens its storage, loads its functions, serves until it is told to stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admin::Admin;
use anyhow::Context as _;
use capabilities::Services;
use cluster::{Event, Member};
use config::manifest::{Application, Source};
use config::{Settings, ms};
use gateway::Gateway;
use invoke::{Invoke, Remote, Remotes, Sources};
use runtime::Engine;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::folder::{claim, identity, operator_token};
use crate::storage;
use crate::timers::{self, Timers};

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
    /// Which of its functions run on this node; none: all of them.
    pub local: Option<BTreeSet<String>>,
    /// Where the others run.
    pub remote: Option<RemoteFunctions>,
    /// The operator's token, in place of the one that is kept in the folder.
    pub operator_token: Option<String>,
}

/// Where functions run that do not run on this node.
#[derive(Debug)]
pub struct RemoteFunctions {
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

/// How many events of the cluster may wait to be acted on.
const EVENTS_MAX: usize = 4;
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
        let (local, others) = split(functions, options.local.as_ref())?;
        let remotes = match options.remote {
            Some(remote) => Some(Remotes {
                remote: way(&remote, &operator_token, &settings)?,
                functions: others,
            }),
            None => None,
        };
        let services = Arc::new(services(&options.data, &identity, &settings).await?);
        // Bound before the functions are loaded: a port that is taken is told at once.
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let invoke = load(local, remotes, &options.data, &settings, &services).await?;
        timers::check(&settings.timer, &invoke)?;
        let beside = admin::router(Arc::new(Admin {
            invoke: invoke.clone(),
            operator_token: operator_token.clone(),
        }));
        let (gateway, drain) = Gateway::new(
            services.clone(),
            invoke.clone(),
            settings.gateway,
            settings.batch.calls_max,
            operator_token,
        )?;
        gateway.probe().await?;
        let resync_spread = ms(settings.cluster.resync_spread_ms);
        let (member, mut worker) = Member::join(services.clone(), identity, settings.cluster).await?;
        let member = Arc::new(member);
        let (mut serving, mut tasks) = (JoinSet::new(), JoinSet::new());
        let shared = gateway.clone();
        serving.spawn(async move {
            if let Err(error) = gateway::serve(shared, listener, beside).await {
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
        tasks.spawn(async move { shared.report_deliveries().await });
        let (events, heard) = mpsc::channel(EVENTS_MAX);
        let living = member.clone();
        tasks.spawn(async move { living.live(events).await });
        tasks.spawn(hear(heard, gateway.clone()));
        tasks.spawn(async move { worker.keep().await });
        let timers = Timers::new(&settings.timer, invoke.clone(), member.clone());
        timers.run(&mut tasks);
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_EVERY).await;
                invoke.reap();
                services.measure();
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

/// Brings the database to the newest schema, without starting a node.
pub async fn migrate_only(data: &Path, application: Chosen) -> anyhow::Result<()> {
    telemetry::start();
    let settings = application.read()?.settings;
    // A database elsewhere has nothing in the folder, and a node may run on it meanwhile.
    let _lock = settings.mysql.is_none().then(|| claim(data)).transpose()?;
    storage::migrate(data, &settings).await
}

/// Acts on what the cluster finds out.
async fn hear(mut events: mpsc::Receiver<Event>, gateway: Arc<Gateway>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Missed => gateway.note_missed(),
            Event::Died { node, done } => {
                gateway.sweep(&node).await;
                // Who waited for it may have stopped.
                let _ = done.send(());
            }
        }
    }
}

/// The functions that run on this node, and the others.
fn split(functions: Sources, local: Option<&BTreeSet<String>>) -> anyhow::Result<(Sources, Sources)> {
    let Some(local) = local else {
        return Ok((functions, Sources::new()));
    };
    if let Some(name) = local.iter().find(|name| !functions.contains_key(*name)) {
        anyhow::bail!("the manifest has no function `{name}`");
    }
    Ok(functions.into_iter().partition(|(name, _)| local.contains(name)))
}

/// Makes the functions of an application ready.
async fn load(
    local: Sources,
    remote: Option<Remotes>,
    data: &Path,
    settings: &Settings,
    services: &Arc<Services>,
) -> anyhow::Result<Arc<Invoke>> {
    let engine = Engine::new(&settings.sandboxes, Some(data.join("cache")))
        .map_err(anyhow::Error::from)
        .context("the WebAssembly engine cannot be made")?;
    Ok(Invoke::load(local, remote, settings, &Arc::new(engine), services).await?)
}

/// The way to remote functions. What they have for clients of this node comes through the servers that both share.
fn way(remote: &RemoteFunctions, operator_token: &str, settings: &Settings) -> anyhow::Result<Remote> {
    let Settings { mysql, redis, .. } = settings;
    anyhow::ensure!(
        mysql.is_some() && redis.metadata.is_some() && redis.queue.is_some(),
        "remote functions reach this node through servers that they share with it: name them with --mysql \
         and --redis"
    );
    let token = remote.token.as_deref().unwrap_or(operator_token);
    Ok(Remote::new(
        &remote.url,
        token,
        &settings.remote,
        settings.gateway.answer_max_bytes,
    )?)
}

/// How much of the identity of a node is enough for a name.
const NAME_LETTERS: usize = 8;

/// What the functions of a node share: opens its storage in a folder. The identity names it where the settings do not.
pub async fn services(data: &Path, identity: &str, settings: &Settings) -> anyhow::Result<Services> {
    let made = || format!("node-{}", identity.get(..NAME_LETTERS).unwrap_or(identity));
    let name = settings.cluster.node.clone().unwrap_or_else(made);
    let backends = storage::open(data, &name, settings).await?;
    storage::check(&backends).await;
    Ok(Services::new(&name, backends, settings))
}
