//! The sandboxes of a function: exclusive use, warm reuse, growth with demand, reaping when idle.
//!
//! A sandbox serves one call at a time. One that trapped, ran out of time or was given up is thrown
//! away, since its memory is in an unknown state: that costs the next call a fresh one and nobody else anything.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Func, InstancePre};

use crate::config::{FunctionSettings, ms};
use crate::fault::Fault;
use crate::places::Places;
use crate::store::{Blueprint, State};

/// The pool of one version of a function.
pub struct Sandboxes {
    function: Arc<str>,
    blueprint: Blueprint,
    instance: InstancePre<State>,
    exports: Vec<ComponentExportIndex>,
    settings: FunctionSettings,
    /// The most recently used is last, and is taken first: its memory is warm.
    idle: Mutex<Vec<Idle>>,
    places: Places,
    made: AtomicU32,
    created: metrics::Counter,
}

struct Idle {
    sandbox: Sandbox,
    since: Instant,
}

/// One instance of the component, with its own memory.
pub struct Sandbox {
    /// Its store.
    pub store: Store<State>,
    /// The exported methods, in the order of the version.
    pub methods: Vec<Func>,
    calls: u32,
}

/// A sandbox in use. Dropping it throws the sandbox away; [`Sandboxes::put_back`] keeps it.
pub struct Lease<'a> {
    /// The sandbox.
    pub sandbox: Sandbox,
    _busy: Busy<'a>,
    _place: OwnedSemaphorePermit,
}

/// Counts a sandbox for as long as it is there.
struct Busy<'a>(&'a AtomicU32);

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
    /// The most that there may be.
    pub max: u32,
}

impl Sandboxes {
    /// An empty pool.
    pub fn new(
        function: Arc<str>,
        blueprint: Blueprint,
        instance: InstancePre<State>,
        exports: Vec<ComponentExportIndex>,
        settings: FunctionSettings,
    ) -> Self {
        let places = Places::new(
            usize::try_from(settings.max_sandboxes).unwrap_or(1),
            settings.waiting_max,
        );
        let created = metrics::counter!("mpim_sandboxes_created_total", "function" => function.to_string());
        Self {
            function,
            blueprint,
            instance,
            exports,
            settings,
            idle: Mutex::default(),
            places,
            made: AtomicU32::new(0),
            created,
        }
    }

    /// Makes the sandboxes that shall be warm from the start.
    pub async fn warm_up(&self) -> wasmtime::Result<()> {
        for _ in 0..self.settings.min_warm.min(self.settings.max_sandboxes) {
            let sandbox = self.instantiate().await?;
            self.idle().push(Idle {
                sandbox,
                since: Instant::now(),
            });
        }
        Ok(())
    }

    /// A sandbox for one call: an idle one, a fresh one, or the next that is put back before the deadline.
    pub async fn take(&self, deadline: Instant) -> Result<Lease<'_>, Fault> {
        let place = self.place(deadline).await?;
        let idle = self.idle().pop();
        let sandbox = match idle {
            Some(idle) => idle.sandbox,
            None => self.instantiate().await.map_err(|error| self.refused(&error))?,
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Lease {
            sandbox,
            _busy: Busy(&self.made),
            _place: place,
        })
    }

    /// Keeps a sandbox that served its call well, unless it has served enough.
    pub fn put_back(&self, lease: Lease<'_>) {
        let Lease {
            mut sandbox,
            _busy,
            _place,
        } = lease;
        sandbox.calls = sandbox.calls.saturating_add(1);
        if sandbox.calls < self.settings.max_reuse {
            self.idle().push(Idle {
                sandbox,
                since: Instant::now(),
            });
        }
    }

    /// Throws away what was idle for too long, beyond those that are kept warm.
    pub fn reap(&self) {
        let keep = usize::try_from(self.settings.min_warm).unwrap_or(usize::MAX);
        let timeout = ms(self.settings.idle_timeout_ms);
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
            busy: self.made.load(Ordering::Relaxed),
            max: self.settings.max_sandboxes,
        }
    }

    async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Fault> {
        let place = self.places.take(deadline).await;
        place.ok_or_else(|| Fault::Overloaded(format!("every sandbox of {} is busy", self.function)))
    }

    async fn instantiate(&self) -> wasmtime::Result<Sandbox> {
        let mut store = self.blueprint.store();
        // What runs while an instance is made has a deadline too.
        let context = crate::store::Context {
            caller: None,
            deadline: Instant::now() + ms(self.settings.deadline_ms),
            depth: 0,
        };
        crate::store::begin(&mut store, context);
        let instance = self.instance.instantiate_async(&mut store).await?;
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

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
