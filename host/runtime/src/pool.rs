//! The sandboxes of a component: exclusive use, warm reuse, growth with demand, reaping when idle.
//!
//! A sandbox serves one call at a time. One that trapped, ran out of time or was given up is thrown
//! away, since its memory is in an unknown state: that costs the next call a fresh one and nobody else anything. How many
//! calls there may be at once is decided by whoever makes them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use call::{Caller, Context, Fault};
use tokio::time::{Instant, timeout_at};
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Func, Val};

use crate::component::{Component, Method};
use crate::failure::fault;
use crate::imports::Instances;
use crate::sandbox::{Blueprint, State, begin};

/// How many sandboxes a pool keeps, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Sandboxes that are made at the start and kept.
    pub min_warm: u32,
    /// Calls that one sandbox serves before it is thrown away; 1 is a fresh one for each call.
    pub max_reuse: u32,
    /// A sandbox beyond `min_warm` that was idle for so long is thrown away.
    pub idle_timeout: Duration,
    /// The longest that making one may take.
    pub start_within: Duration,
}

/// The pool of one component.
pub struct Pool<G: Send + 'static> {
    function: Arc<str>,
    blueprint: Blueprint<G>,
    instances: Instances<G>,
    exports: Vec<ComponentExportIndex>,
    settings: PoolSettings,
    /// The most recently used is last, and is taken first: its memory is warm.
    idle: Mutex<Vec<Idle<G>>>,
    busy: AtomicU32,
    created: metrics::Counter,
}

struct Idle<G: Send + 'static> {
    sandbox: Sandbox<G>,
    since: Instant,
}

/// One instance of the component, with its own memory.
pub struct Sandbox<G: Send + 'static> {
    /// Its store.
    pub store: Store<State<G>>,
    /// The exported methods, in the order of the component.
    pub methods: Vec<Func>,
    calls: u32,
}

/// A sandbox in use. Dropping it throws the sandbox away.
pub struct Lease<'a, G: Send + 'static> {
    /// The sandbox.
    pub sandbox: Sandbox<G>,
    _busy: Busy<'a>,
}

/// Counts a sandbox for as long as it is there.
struct Busy<'a>(&'a AtomicU32);

impl<'a> Busy<'a> {
    fn count(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many sandboxes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Idle ones.
    pub warm: usize,
    /// Those that serve a call.
    pub busy: u32,
}

impl<G: Clone + Send + 'static> Pool<G> {
    /// An empty pool.
    pub fn new(
        function: Arc<str>,
        component: &Component,
        instances: Instances<G>,
        blueprint: Blueprint<G>,
        settings: PoolSettings,
    ) -> Self {
        let created = metrics::counter!("mpim_sandboxes_created_total", "function" => function.to_string());
        Self {
            function,
            blueprint,
            instances,
            exports: component.exports.clone(),
            settings,
            idle: Mutex::default(),
            busy: AtomicU32::new(0),
            created,
        }
    }

    /// Makes the sandboxes that shall be warm from the start.
    pub async fn warm_up(&self) -> wasmtime::Result<()> {
        for _ in 0..self.settings.min_warm {
            let sandbox = self.instantiate().await?;
            self.keep(sandbox);
        }
        Ok(())
    }

    /// One call of one method with all its arguments, in a sandbox of its own. Gives the value of its result, where it
    /// has one.
    pub async fn call(&self, method: &Method, arguments: &[Val], context: Context) -> Result<Option<Val>, Fault> {
        let name = || format!("{}.{}", self.function, method.name);
        let deadline = context.deadline.into();
        let mut lease = self.take().await?;
        let subcalls = begin(&mut lease.sandbox.store, context);
        let func = *lease
            .sandbox
            .methods
            .get(method.index)
            .ok_or_else(|| Fault::UnknownMethod(name()))?;
        let mut results = vec![Val::Bool(false); usize::from(method.result.is_some())];
        let running = lease
            .sandbox
            .store
            .run_concurrent(async |accessor| func.call_concurrent(accessor, arguments, &mut results).await);
        // A sandbox whose call is given up in the middle is dropped with its lease.
        match timeout_at(deadline, subcalls.drive(running)).await {
            Ok(Ok(Ok(()))) => {
                self.put_back(lease);
                Ok(results.pop())
            }
            Ok(Ok(Err(error)) | Err(error)) => Err(fault(name, &error)),
            Err(_) => Err(Fault::DeadlineExceeded(name())),
        }
    }

    /// A sandbox with a call of this context begun in it, past everything that stands around calls: for measuring.
    pub async fn lease(&self, context: Context) -> Result<Lease<'_, G>, Fault> {
        let mut lease = self.take().await?;
        begin(&mut lease.sandbox.store, context);
        Ok(lease)
    }

    /// A sandbox for one call: an idle one, or a fresh one.
    async fn take(&self) -> Result<Lease<'_, G>, Fault> {
        let idle = self.idle().pop();
        let sandbox = match idle {
            Some(idle) => idle.sandbox,
            None => self.instantiate().await.map_err(|error| self.refused(&error))?,
        };
        Ok(Lease {
            sandbox,
            _busy: Busy::count(&self.busy),
        })
    }

    /// Keeps a sandbox that served its call well, unless it has served enough.
    fn put_back(&self, lease: Lease<'_, G>) {
        let Lease { mut sandbox, _busy } = lease;
        sandbox.calls = sandbox.calls.saturating_add(1);
        if sandbox.calls < self.settings.max_reuse {
            self.keep(sandbox);
        }
    }

    /// Throws away what was idle for too long, beyond those that are kept warm.
    pub fn reap(&self) {
        let keep = usize::try_from(self.settings.min_warm).unwrap_or(usize::MAX);
        let timeout = self.settings.idle_timeout;
        let mut idle = self.idle();
        let old = idle.iter().take_while(|idle| idle.since.elapsed() >= timeout).count();
        let surplus = old.min(idle.len().saturating_sub(keep));
        let reaped: Vec<_> = idle.drain(..surplus).collect();
        drop(idle);
        drop(reaped);
    }

    /// How many there are now.
    pub fn counts(&self) -> Counts {
        Counts {
            warm: self.idle().len(),
            busy: self.busy.load(Ordering::Relaxed),
        }
    }

    fn keep(&self, sandbox: Sandbox<G>) {
        self.idle().push(Idle {
            sandbox,
            since: Instant::now(),
        });
    }

    async fn instantiate(&self) -> wasmtime::Result<Sandbox<G>> {
        let mut store = self.blueprint.store();
        // What runs while an instance is made has a deadline too.
        let mut context = Context::begin(Caller::System, Duration::ZERO);
        context.deadline = (Instant::now() + self.settings.start_within).into_std();
        begin(&mut store, context);
        let instance = self.instances.0.instantiate_async(&mut store).await?;
        let methods = self.exports.iter().map(|export| {
            instance
                .get_func(&mut store, export)
                .ok_or_else(|| wasmtime::format_err!("an exported method is gone"))
        });
        let methods = methods.collect::<wasmtime::Result<Vec<_>>>()?;
        self.created.increment(1);
        Ok(Sandbox {
            store,
            methods,
            calls: 0,
        })
    }

    fn refused(&self, error: &wasmtime::Error) -> Fault {
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return Fault::Overloaded("the node has no room for another sandbox".to_owned());
        }
        tracing::error!(function = %self.function, error = format!("{error:#}"), "a sandbox could not be made");
        Fault::Trapped(self.function.to_string())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle<G>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
