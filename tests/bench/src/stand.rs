//! What both sides share: one node on embedded storage, its data, the components on it, and the same functions natively.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use call::{Caller, Context as CallContext, User};
use capabilities::Services;
use config::Settings;
use config::manifest::{FunctionSource, Source};
use contract::sql::{Step, Value};
use invoke::{Input, Invoke, Route};
use runtime::Engine;
use runtime::Val;
use snowflake::{Loan, now_ms};
use wire::push::{Push, shared_topic};

use crate::Options;
use crate::native::Native;

/// The name of the node.
pub(crate) const NODE: &str = "bench";
/// The manifest of the application, with its settings.
const MANIFEST: &str = include_str!("../../../spin.toml");
/// Where the manifest has the components.
const COMPONENTS: &str = "\"target/components/";

/// The imports of each function.
pub(crate) struct Functions {
    pub(crate) login: Rc<Native>,
    pub(crate) presence: Rc<Native>,
    pub(crate) route: Rc<Native>,
    pub(crate) send: Rc<Native>,
    pub(crate) pull_offline: Rc<Native>,
    pub(crate) group_pull: Rc<Native>,
}

/// One node, both ways.
pub(crate) struct Stand {
    pub(crate) invoke: Arc<Invoke>,
    pub(crate) native: Functions,
    pub(crate) node: Arc<Services>,
    /// Processes that keep the data.
    pub(crate) servers: Vec<u32>,
    /// Last: its files are removed when nobody uses them any more.
    _folder: Folder,
}

impl Stand {
    /// Opens a node with its data in a new folder, or on servers, and loads the components.
    pub(crate) async fn open(options: &Options) -> anyhow::Result<Self> {
        let folder = Folder::make(&options.data)?;
        let (mut settings, functions) = application(&folder.0, &options.components)?;
        if let Some(url) = &options.mysql {
            settings.use_mysql(url);
        }
        if let Some(url) = &options.redis {
            settings.use_redis(url);
        }
        let node = Arc::new(node(&folder.0, &settings).await?);
        let native = natives(&node, &settings, &functions)?;
        let engine = Engine::new(&settings.sandboxes, None).map_err(anyhow::Error::from)?;
        let invoke = Invoke::load(functions, None, &settings, &Arc::new(engine), &node).await?;
        Ok(Self {
            invoke,
            native,
            node,
            servers: options.cpu_of.clone(),
            _folder: folder,
        })
    }

    /// A method of a component.
    pub(crate) fn method(&self, function: &str, method: &str) -> anyhow::Result<Arc<Route>> {
        let found = self.invoke.table().route(function, method);
        found.with_context(|| format!("no method {function}.{method}"))
    }

    /// Writes rows, whatever they are.
    pub(crate) async fn write(&self, steps: Vec<(String, Vec<Value>)>) -> anyhow::Result<()> {
        let mut steps = steps.into_iter().map(|(sql, params)| Step {
            sql,
            params,
            at_least: 0,
            taken: Vec::new(),
        });
        loop {
            let some: Vec<Step> = steps.by_ref().take(1000).collect();
            if some.is_empty() {
                return Ok(());
            }
            self.node
                .sql
                .batch(some, Instant::now() + Duration::from_secs(30))
                .await?;
        }
    }

    /// Takes what was published out of the queues, as the gateway and the timer would.
    pub(crate) async fn drain(&self) -> anyhow::Result<()> {
        let last_seen = shared_topic("presence/last-seen");
        let pushes = Push::topic(NODE);
        let local = self.node.local_queue.iter().map(|queue| (queue, &pushes));
        for (queue, topic) in local.chain([(&self.node.queue, &pushes), (&self.node.queue, &last_seen)]) {
            loop {
                let entries = queue.receive(topic, "bench", 1024, 0).await?;
                if entries.is_empty() {
                    break;
                }
                let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
                queue.ack(topic, "bench", &ids).await?;
            }
        }
        Ok(())
    }
}

/// A call of a component as the gateway makes it; what its ok case has.
pub(crate) async fn ask(
    invoke: &Invoke,
    route: &Route,
    caller: Option<User>,
    arguments: Vec<Val>,
) -> anyhow::Result<Option<Val>> {
    let caller = if route.signature.public {
        Caller::from(caller)
    } else {
        Caller::System
    };
    let context = CallContext::begin(caller, route.deadline());
    match invoke.call(route, Input::Values(arguments), context).await {
        Ok(answer) => Ok(answer.into_value()),
        Err(error) => bail!("{} answered {error:?}", route.signature.full_name()),
    }
}

/// The error of a function as one of this program.
pub(crate) fn refused(error: guest::Error) -> anyhow::Error {
    anyhow!("{:?}: {}", error.code, error.message)
}

/// The application of the manifest, its components from another folder, without limits on how often one may log in.
fn application(folder: &Path, components: &Path) -> anyhow::Result<(Settings, BTreeMap<String, FunctionSource>)> {
    let components = std::fs::canonicalize(components).with_context(|| {
        format!(
            "no components in {}: run `cargo xtask components`",
            components.display()
        )
    })?;
    let manifest = folder.join("spin.toml");
    let elsewhere = format!("\"{}/", components.display());
    std::fs::write(&manifest, MANIFEST.replace(COMPONENTS, &elsewhere))?;
    let mut application = Source::File(manifest).read()?;
    for function in application.functions.values_mut() {
        function.settings.rates.clear();
    }
    Ok((application.settings, application.functions))
}

async fn node(folder: &Path, settings: &Settings) -> anyhow::Result<Services> {
    let services = Services::new(NODE, node::storage::open(folder, NODE, settings).await?, settings);
    let hours = Duration::from_secs(24 * 3600);
    services.ids.lend(Loan {
        worker: 1,
        after_ms: now_ms(),
        until_ms: now_ms() + 24 * 3_600_000,
        ends: Instant::now() + hours,
    });
    Ok(services)
}

fn natives(
    node: &Arc<Services>,
    settings: &Settings,
    functions: &BTreeMap<String, FunctionSource>,
) -> anyhow::Result<Functions> {
    let cost = password::Cost {
        memory_kib: settings.password.memory_kib,
        passes: settings.password.passes,
    };
    let native = |name: &str, calls: Option<Rc<Native>>| {
        let source = functions.get(name).with_context(|| format!("no function {name}"))?;
        anyhow::Ok(Native::new(node, name, &source.settings, cost, calls))
    };
    let route = native("route", None)?;
    Ok(Functions {
        login: native("login", None)?,
        presence: native("presence", Some(native("contacts", None)?))?,
        send: native("send", Some(route.clone()))?,
        route,
        pull_offline: native("pull-offline", None)?,
        group_pull: native("group-pull", None)?,
    })
}

/// A folder that is there for as long as it is wanted.
struct Folder(PathBuf);

impl Folder {
    fn make(below: &Path) -> anyhow::Result<Self> {
        let folder = below.join(format!("mpim-bench-native-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is for nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
