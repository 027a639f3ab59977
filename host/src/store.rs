//! What one sandbox carries in its Wasmtime store: WASI without any file, socket or variable, the
//! limits of its memory, the capabilities of its function, and the call that it serves now.

use std::sync::{Arc, Weak};

use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::capabilities::Guest;
use crate::config::SandboxSettings;
use crate::dispatch::Dispatch;
use crate::identity::Caller;
use crate::nested::Nested;

/// The data of a sandbox's store.
pub struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
    /// What the capabilities see of the sandbox and its call.
    pub guest: Guest,
    /// The call that the sandbox serves.
    pub context: Context,
    /// Where calls of other functions go. The dispatch owns the sandbox, not the other way round.
    pub dispatch: Weak<Dispatch>,
    /// The calls of other functions that the call in the sandbox has begun.
    pub nested: Nested,
}

/// What holds for one call and for the calls that it makes.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who called at the edge; none for calls of the host itself.
    pub caller: Option<Caller>,
    /// When the call must be done, waiting included.
    pub deadline: Instant,
    /// How many functions are above this one.
    pub depth: u32,
}

/// The trap of code that runs past its deadline.
#[derive(Debug, thiserror::Error)]
#[error("the deadline of the call passed while the component was running")]
pub struct DeadlinePassed;

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Tables of one sandbox hold so many elements at most; Rust components use some hundreds.
const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Makes the store serve a call; gives where it hands over the calls that it makes.
pub fn begin(store: &mut Store<State>, context: Context) -> Nested {
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.guest.deadline = context.deadline;
    state.context = context;
    // What a former call began and gave up must not run in this one.
    state.nested = Nested::default();
    state.nested.clone()
}

/// The whole of what a sandbox is made of, shared by all sandboxes of a function.
pub struct Blueprint {
    /// The engine.
    pub engine: wasmtime::Engine,
    /// The capabilities of the function.
    pub guest: Guest,
    /// Largest linear memory.
    pub memory_max_bytes: usize,
    /// Limits that all functions share.
    pub settings: Arc<SandboxSettings>,
    /// Where calls of other functions go.
    pub dispatch: Weak<Dispatch>,
}

impl Blueprint {
    /// A store for a new sandbox. Its first call is begun with [`begin`].
    pub fn store(&self) -> Store<State> {
        let context = Context {
            caller: None,
            deadline: Instant::now(),
            depth: 0,
        };
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.memory_max_bytes)
            .table_elements(TABLE_ELEMENTS_MAX)
            .build();
        let state = State {
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
            limits,
            guest: self.guest.clone(),
            context,
            dispatch: self.dispatch.clone(),
            nested: Nested::default(),
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(self.settings.transfer_max_bytes);
        // At each tick of the epoch the code yields, so that it cannot keep a thread for itself, and
        // is stopped once its deadline has passed.
        store.epoch_deadline_callback(|store| {
            if Instant::now() >= store.data().context.deadline {
                return Err(DeadlinePassed.into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        store
    }
}
