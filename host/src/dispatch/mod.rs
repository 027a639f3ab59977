//! Invokes: from a method and its arguments to its answer, wherever the call comes from.
//!
//! The edge, the timers and the imports of other functions all go through [`Dispatch::invoke`], so
//! that no call is without its deadline, its depth limit, its breaker and its measures. It knows neither
//! sockets nor any function by name.

mod link;
mod notify;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use tokio::time::{Instant, timeout_at};
use wasmtime::Trap;
use wasmtime::component::Val;

use crate::breakers::Breaker;
use crate::capabilities::{NoWorker, Node};
use crate::config::{MethodName, Settings, ms};
use crate::deployments::{LoadError, Method, Version};
use crate::docs::Docs;
use crate::engine::{self, Engine};
use crate::fault::Fault;
use crate::identity::Caller;
use crate::manifest::FunctionSource;
use crate::sandboxes::Sandboxes;
use crate::store::{self, Context, DeadlinePassed};
use crate::values::ToRecord;

/// A component as the host runs it.
pub struct Function {
    /// Its name in the manifest.
    pub name: Arc<str>,
    /// The version that runs.
    pub version: Version,
    /// Its sandboxes.
    pub sandboxes: Sandboxes,
    breaker: Breaker,
    deadline_ms: u64,
}

/// All functions of the node.
pub struct Dispatch {
    /// Set once, by [`Dispatch::load`]: functions call each other through the dispatch that holds them.
    functions: OnceLock<BTreeMap<String, Arc<Function>>>,
    /// The function that exports each interface; names with versions.
    exporters: HashMap<String, String>,
    depth_max: u32,
    /// Held for as long as functions can be called: its clock is what stops code that runs past its deadline.
    _engine: Arc<Engine>,
}

/// What a function answered: the value of a method without error type, or of its ok case; or its error.
pub type Answer = Result<Option<Val>, Option<Val>>;

impl Dispatch {
    /// Loads functions: compiles, reads, checks, links and warms up each.
    pub async fn load(
        functions: BTreeMap<String, FunctionSource>,
        settings: &Settings,
        engine: &Arc<Engine>,
        node: &Arc<Node>,
    ) -> Result<Arc<Self>, LoadError> {
        let versions = read_all(engine, functions)?;
        let dispatch = Arc::new(Self {
            functions: OnceLock::new(),
            exporters: exporters(&versions)?,
            depth_max: settings.sandboxes.depth_max,
            _engine: engine.clone(),
        });
        let linking = link::Linking::new(engine, node, settings, &dispatch);
        let mut linked = BTreeMap::new();
        for (name, (version, function)) in versions {
            let function = linking.function(&name, version, function)?;
            function
                .sandboxes
                .warm_up()
                .await
                .map_err(|error| LoadError::NoSandbox {
                    function: name.clone(),
                    reason: format!("{error:#}"),
                })?;
            linked.insert(name, Arc::new(function));
        }
        // The cell is fresh: it was made above and nobody else has set it.
        let _ = dispatch.functions.set(linked);
        Ok(dispatch)
    }

    /// The functions by name.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.get().into_iter().flat_map(BTreeMap::values)
    }

    /// A method by its names; private ones too.
    pub fn method(&self, function: &str, method: &str) -> Option<&Arc<Method>> {
        let methods = &self.function(function)?.version.methods;
        methods.iter().find(|candidate| candidate.name == method)
    }

    /// A method that the manifest names for a purpose.
    pub fn named(&self, name: &MethodName, purpose: &'static str) -> Result<Arc<Method>, LoadError> {
        self.method(&name.function, &name.method)
            .cloned()
            .ok_or_else(|| LoadError::UnknownMethod {
                name: name.to_string(),
                purpose,
            })
    }

    /// A call from the edge: of a public method, with the arguments but the caller.
    pub async fn call(
        &self,
        method: &Method,
        caller: Option<Caller>,
        mut arguments: Vec<Val>,
    ) -> Result<Answer, Fault> {
        if !method.public {
            return Err(Fault::UnknownMethod(method.full_name()));
        }
        if let Some((_, ty)) = method.parameters.first().filter(|_| method.takes_caller) {
            let caller = caller.as_ref().ok_or(Fault::Unauthenticated)?;
            // Whether the record fits was checked when the function was linked.
            arguments.insert(0, caller.to_val(ty).ok_or_else(|| Fault::Trapped(method.full_name()))?);
        }
        self.begin(method, caller, arguments).await
    }

    /// A call of the host itself, of any method.
    pub async fn system(&self, method: &Method, arguments: Vec<Val>) -> Result<Answer, Fault> {
        self.begin(method, None, arguments).await
    }

    async fn begin(&self, method: &Method, caller: Option<Caller>, arguments: Vec<Val>) -> Result<Answer, Fault> {
        let deadline_ms = self
            .function(&method.function)
            .map_or(0, |function| function.deadline_ms);
        let context = Context {
            caller,
            deadline: Instant::now() + ms(deadline_ms),
            depth: 0,
        };
        Ok(answer(self.invoke(method, arguments, context).await?))
    }

    /// One call of one method with all its arguments, within the context of whoever calls.
    pub async fn invoke(&self, method: &Method, arguments: Vec<Val>, context: Context) -> Result<Option<Val>, Fault> {
        if context.depth > self.depth_max {
            return Err(Fault::Overloaded(format!(
                "functions call each other more than {} deep",
                self.depth_max
            )));
        }
        let function = self
            .function(&method.function)
            .ok_or_else(|| Fault::UnknownMethod(method.full_name()))?;
        if !function.breaker.allow() {
            return Err(Fault::BreakerOpen(method.full_name()));
        }
        let begun = Instant::now();
        let outcome = function.run(method, &arguments, context).await;
        if let Some(success) = function.verdict(&outcome, begun) {
            function.breaker.report(success);
        }
        method.metrics.seconds.record(begun.elapsed());
        match &outcome {
            Ok(_) => method.metrics.answered.increment(1),
            Err(_) => method.metrics.failed.increment(1),
        }
        outcome
    }

    /// Throws away sandboxes that were idle for too long.
    pub fn reap(&self) {
        for function in self.functions() {
            function.sandboxes.reap();
        }
    }

    fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.get()?.get(name)
    }
}

impl Function {
    /// What the end of a call says about the health of the function; none when it says nothing, as a full pool does,
    /// or a caller that left too little of its time.
    fn verdict(&self, outcome: &Result<Option<Val>, Fault>, begun: Instant) -> Option<bool> {
        match outcome {
            Ok(_) => Some(true),
            Err(Fault::Trapped(_)) => Some(false),
            Err(Fault::DeadlineExceeded(_)) => (begun.elapsed() >= ms(self.deadline_ms) / 2).then_some(false),
            Err(_) => None,
        }
    }

    async fn run(&self, method: &Method, arguments: &[Val], context: Context) -> Result<Option<Val>, Fault> {
        let deadline = context.deadline;
        let mut lease = self.sandboxes.take(deadline).await?;
        let nested = store::begin(&mut lease.sandbox.store, context);
        let func = *lease
            .sandbox
            .methods
            .get(method.index)
            .ok_or_else(|| Fault::UnknownMethod(method.full_name()))?;
        let mut results = vec![Val::Bool(false); usize::from(method.result.is_some())];
        let running = lease
            .sandbox
            .store
            .run_concurrent(async |accessor| func.call_concurrent(accessor, arguments, &mut results).await);
        // A sandbox whose call is given up in the middle is dropped with its lease.
        match timeout_at(deadline, nested.drive(running)).await {
            Ok(Ok(Ok(()))) => {
                self.sandboxes.put_back(lease);
                Ok(results.pop())
            }
            Ok(Ok(Err(error)) | Err(error)) => Err(failure(method, &error)),
            Err(_) => Err(Fault::DeadlineExceeded(method.full_name())),
        }
    }
}

/// What stopped a component, logged once, here.
fn failure(method: &Method, error: &wasmtime::Error) -> Fault {
    let name = method.full_name();
    if error.is::<DeadlinePassed>() || error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        tracing::warn!(method = name, "a component ran past its deadline and was stopped");
        return Fault::DeadlineExceeded(name);
    }
    if let Some(error) = error.downcast_ref::<NoWorker>() {
        return Fault::Unavailable(error.to_string());
    }
    tracing::error!(method = name, error = format!("{error:#}"), "a component failed");
    Fault::Trapped(name)
}

/// What a method answered, from the value that its call gave.
pub fn answer(result: Option<Val>) -> Answer {
    match result {
        Some(Val::Result(Ok(value))) => Ok(value.map(|value| *value)),
        Some(Val::Result(Err(error))) => Err(error.map(|error| *error)),
        other => Ok(other),
    }
}

type Versions = BTreeMap<String, (Version, FunctionSource)>;

fn read_all(engine: &Arc<Engine>, mut functions: BTreeMap<String, FunctionSource>) -> Result<Versions, LoadError> {
    let components = functions
        .iter()
        .map(|(name, function)| (name.clone(), function.component.clone()))
        .collect();
    let mut versions = BTreeMap::new();
    for (name, compiled) in engine::compile_all(engine, components) {
        let compiled = compiled.map_err(|error| LoadError::NotAComponent {
            function: name.clone(),
            reason: format!("{error:#}"),
        })?;
        let Some(source) = functions.remove(&name) else {
            continue;
        };
        let docs = Docs::of(&source.component);
        let version = Version::read(&name, compiled.version, compiled.component, &source.settings, &docs)?;
        versions.insert(name, (version, source));
    }
    Ok(versions)
}

/// The function that exports each interface. A name without a package means something within its component alone: nobody
/// else can import it, and several may have it.
fn exporters(versions: &Versions) -> Result<HashMap<String, String>, LoadError> {
    let mut exporters: HashMap<String, String> = HashMap::new();
    for (name, (version, _)) in versions {
        for interface in version
            .interfaces
            .iter()
            .filter(|interface| interface.name.contains(':'))
        {
            if let Some(first) = exporters.insert(interface.name.clone(), name.clone()) {
                return Err(LoadError::InterfaceTwice {
                    interface: interface.name.clone(),
                    first,
                    second: name.clone(),
                });
            }
        }
    }
    Ok(exporters)
}
