//! What is measured: a node without its edges, in this process, and the functions of the benchmark on it. It refuses to
//! know how long anything takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use call::{Caller, Context};
use capabilities::Services;
use config::manifest::FunctionSource;
use config::{ConfigValue, FunctionSettings, Rate, Settings};
use invoke::{Function, Input, Invoke, Route};
use runtime::{Engine, Method, Val};
use snowflake::{Loan, now_ms};

use crate::failure::Failure;

/// Longer than any run.
pub(super) const LONG: Duration = Duration::from_secs(24 * 3600);
/// The name of the function that is measured.
pub(super) const PROBE: &str = "probe";
const RELAY: &str = "relay";

/// A node in this process.
pub(super) struct Stage {
    /// What its functions share.
    pub(super) services: Arc<Services>,
    engine: Arc<Engine>,
    settings: Settings,
    components: BTreeMap<&'static str, Vec<u8>>,
    _folder: Folder,
}

/// Where the components are, and the servers that stand in for what is embedded.
#[derive(Debug, Clone)]
pub(super) struct Setting<'a> {
    /// The component that is measured; the one that calls it is expected beside it.
    pub(super) probe: &'a Path,
    /// A Redis.
    pub(super) redis: Option<&'a str>,
    /// A MySQL database.
    pub(super) mysql: Option<&'a str>,
    /// Sandboxes that there may be.
    pub(super) sandboxes_max: u32,
}

impl Stage {
    /// Puts a node together.
    pub(super) async fn open(setting: &Setting<'_>) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let mut settings = Settings::default();
        settings.telemetry.log_lines_per_second = u32::MAX;
        settings.sandboxes.total_max = settings.sandboxes.total_max.max(setting.sandboxes_max + 64);
        if let Some(url) = setting.redis {
            settings.use_redis(url);
        }
        if let Some(url) = setting.mysql {
            settings.use_mysql(url);
        }
        let services = node::services(&folder.0, "bench", &settings)
            .await
            .map_err(|error| Failure::other(format!("{error:#}")))?;
        services.ids.lend(Loan {
            worker: 0,
            after_ms: now_ms(),
            until_ms: now_ms() + 24 * 3600 * 1000,
            ends: Instant::now() + LONG,
        });
        let engine = Engine::new(&settings.sandboxes, Some(folder.0.join("cache"))).map_err(told)?;
        let mut components = BTreeMap::from([(PROBE, read(setting.probe)?)]);
        if let Ok(relay) = read(&setting.probe.with_file_name("bench-relay.wasm")) {
            components.insert(RELAY, relay);
        }
        Ok(Self {
            services: Arc::new(services),
            engine: Arc::new(engine),
            settings,
            components,
            _folder: folder,
        })
    }

    /// Loads the functions, with settings that differ from the usual ones in some way.
    pub(super) async fn load(&self, differ: impl Fn(&mut FunctionSettings)) -> Result<Functions, Failure> {
        let functions = self.components.iter().map(|(name, component)| {
            let mut settings = FunctionSettings {
                public: vec![format!("test:bench/{PROBE}"), format!("test:bench-relay/{RELAY}")],
                config: BTreeMap::from([(PROBE.to_owned(), ConfigValue::Text("value".to_owned()))]),
                rates: BTreeMap::from([(PROBE.to_owned(), ENDLESS)]),
                deadline_ms: 600_000,
                max_reuse: u32::MAX,
                ..FunctionSettings::default()
            };
            settings.public.retain(|interface| interface.ends_with(name));
            differ(&mut settings);
            let component = component.clone();
            ((*name).to_owned(), FunctionSource { component, settings })
        });
        let loaded = Invoke::load(functions.collect(), None, &self.settings, &self.engine, &self.services);
        Ok(Functions(loaded.await.map_err(told)?))
    }
}

const ENDLESS: Rate = Rate {
    per_second: 1e9,
    burst: 1e9,
};

/// The functions as they were loaded once.
#[derive(Clone)]
pub(super) struct Functions(Arc<Invoke>);

impl Functions {
    /// The probe as the host runs it.
    pub(super) fn probe(&self) -> Result<Arc<Function>, Failure> {
        let table = self.0.table();
        let probe = table.functions().find(|function| function.name.as_ref() == PROBE);
        probe.cloned().ok_or_else(|| Failure::other("the probe is gone"))
    }

    /// A method of the probe.
    pub(super) fn method(&self, name: &str) -> Result<Callee, Failure> {
        self.callee(PROBE, name)
    }

    /// The method that calls the probe, where its component is there.
    pub(super) fn relay(&self) -> Option<Callee> {
        self.callee(RELAY, "pass-on").ok()
    }

    fn callee(&self, function: &str, name: &str) -> Result<Callee, Failure> {
        let route = self.0.table().route(function, name);
        Ok(Callee {
            invoke: Arc::clone(&self.0),
            route: route.ok_or_else(|| Failure::other(format!("{function} has no method {name}: build it anew")))?,
        })
    }
}

/// A method that can be called.
#[derive(Clone)]
pub(super) struct Callee {
    invoke: Arc<Invoke>,
    /// The route of the method.
    pub(super) route: Arc<Route>,
}

impl Callee {
    /// The types of the method.
    pub(super) fn binding(&self) -> Result<&Method, Failure> {
        let binding = self.route.binding.as_deref();
        binding.ok_or_else(|| Failure::other("the types of a method are gone"))
    }

    /// Calls it as the edge does.
    pub(super) async fn call(&self, arguments: Vec<Val>) -> Result<Option<Val>, Failure> {
        let context = Context::begin(Caller::Anonymous, self.route.deadline());
        let answer = self.invoke.call(&self.route, Input::Values(arguments), context).await;
        let name = || self.route.signature.full_name();
        answer
            .map(invoke::Answer::into_value)
            .map_err(|error| Failure::other(format!("{} answers {error:?}", name())))
    }
}

/// A failure of what is measured.
pub(super) fn told(error: impl std::fmt::Display) -> Failure {
    Failure::other(format!("{error:#}"))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::other(format!("{}: {error}", path.display())))
}

/// A folder for the files of a node, gone with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("mpim-bench-host-{process}-{number}"));
        std::fs::create_dir_all(&folder).map_err(|error| Failure::other(format!("{}: {error}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What it kept is for nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
