//! What one sandbox carries in its Wasmtime store: WASI without any file, socket or variable, the
//! limits of its memory, what its capabilities have, and the call that it serves now.

use std::sync::Arc;

use call::{Caller, Context};
use config::SandboxSettings;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::engine::Engine;
use crate::failure::DeadlinePassed;
use crate::subcalls::Subcalls;

/// The data of a sandbox's store. `G` is what the capabilities of its function have.
pub struct State<G> {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
    /// What the capabilities have.
    pub guest: G,
    /// The context of the call that the sandbox serves.
    pub context: Context,
    /// The calls of other functions that the call in the sandbox has begun.
    pub(crate) subcalls: Subcalls,
}

impl<G: Send> WasiView for State<G> {
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
pub(crate) fn begin<G>(store: &mut Store<State<G>>, context: Context) -> Subcalls {
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.context = context;
    // What a former call began and gave up must not run in this one.
    state.subcalls = Subcalls::default();
    state.subcalls.clone()
}

/// The whole of what a sandbox is made of, shared by all sandboxes of a component.
pub struct Blueprint<G> {
    /// The engine. Its clock is what stops code that runs past its deadline.
    pub engine: Arc<Engine>,
    /// What the capabilities have.
    pub guest: G,
    /// Largest linear memory.
    pub memory_max_bytes: usize,
    /// Limits that all functions share.
    pub settings: Arc<SandboxSettings>,
}

impl<G: Clone + Send + 'static> Blueprint<G> {
    /// A store for a new sandbox. Its first call is begun with [`begin`].
    pub(crate) fn store(&self) -> Store<State<G>> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.memory_max_bytes)
            .table_elements(TABLE_ELEMENTS_MAX)
            .build();
        let state = State {
            wasi: WasiCtx::builder().build(),
            table: ResourceTable::new(),
            limits,
            guest: self.guest.clone(),
            context: Context::begin(Caller::System, std::time::Duration::ZERO),
            subcalls: Subcalls::default(),
        };
        let mut store = Store::new(self.engine.wasm(), state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(self.settings.transfer_max_bytes);
        // At each tick of the epoch the code yields, so that it cannot keep a thread for itself, and
        // is stopped once its deadline has passed.
        store.epoch_deadline_callback(|store| {
            if Instant::now().into_std() >= store.data().context.deadline {
                return Err(DeadlinePassed.into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        store
    }
}
