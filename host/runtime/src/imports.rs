//! What a component is linked to: its imports of WASI, of capabilities, and of whatever else is served to it by name.

use std::pin::Pin;
use std::sync::Arc;

use call::{Context, Fault};
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{InstancePre, Linker, Type, Val};

use crate::component::{Component, LoadError};
use crate::engine::Engine;
use crate::outcome::fault_result;
use crate::sandbox::State;
use crate::subcalls::Subcalls;

/// The imports of one component, while they are linked.
pub struct Imports<'a, G: Send + 'static> {
    function: &'a str,
    component: &'a Component,
    linker: Linker<State<G>>,
}

/// A component whose imports are linked, ready to be instantiated.
pub struct Instances<G: Send + 'static>(pub(crate) InstancePre<State<G>>);

/// One call of an imported function.
pub struct Import<G> {
    /// What the capabilities of the caller have.
    pub guest: G,
    /// The context of the call that makes it.
    pub context: Context,
    /// The arguments, in the order of the parameters.
    pub arguments: Vec<Val>,
    /// The type of the function.
    pub signature: Signature,
    subcalls: Subcalls,
}

/// The type of an imported function.
pub struct Signature(ComponentFunc);

impl Signature {
    /// Names and types of the parameters.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Type)> {
        self.0.params()
    }

    /// A failed call as what the function gives, where its type has the project's error.
    pub fn failed(&self, fault: &Fault) -> Given {
        fault_result(fault, &self.result()?).map(Some)
    }

    /// What it gives.
    pub fn result(&self) -> Option<Type> {
        self.0.results().next()
    }
}

impl<G> Import<G> {
    /// Has a call made by the task that drives the call in the sandbox; none when that ends before.
    pub async fn drive<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.subcalls.run(call).await
    }
}

/// What an imported function gives; none, where its type has no way to say it: then the call in the sandbox is ended.
pub type Given = Option<Option<Val>>;

/// Serves an imported function.
pub type Serve<G> = dyn Fn(Import<G>) -> Pin<Box<dyn Future<Output = Given> + Send>> + Send + Sync;

impl<'a, G: Clone + Send + 'static> Imports<'a, G> {
    /// WASI, and the capabilities that `link` adds. A component gets those that it imports.
    pub fn new(
        function: &'a str,
        component: &'a Component,
        engine: &'a Engine,
        link: impl FnOnce(&mut Linker<State<G>>) -> wasmtime::Result<()>,
    ) -> Result<Self, LoadError> {
        let mut linker = Linker::new(engine.wasm());
        let linked = wasmtime_wasi::p2::add_to_linker_async(&mut linker).and_then(|()| link(&mut linker));
        linked.map_err(|error| mismatch(function, &error))?;
        Ok(Self {
            function,
            component,
            linker,
        })
    }

    /// The functions of an imported interface; the import itself where it is a function.
    pub fn functions(&self, import: &str) -> Vec<String> {
        self.component.imported(import)
    }

    /// Links an interface that has types alone.
    pub fn link_types(&mut self, import: &str) -> Result<(), LoadError> {
        let linked = self.linker.instance(import).map(|_| ());
        linked.map_err(|error| mismatch(self.function, &error))
    }

    /// Links one function of an interface.
    pub fn serve(&mut self, import: &str, name: &str, serve: Arc<Serve<G>>) -> Result<(), LoadError> {
        let linked = self.linker.instance(import).and_then(|mut interface| {
            interface.func_new_concurrent(name, move |accessor, signature, arguments, results| {
                let serve = serve.clone();
                Box::pin(async move {
                    let import = accessor.with(|mut store| {
                        let state = store.get();
                        Import {
                            guest: state.guest.clone(),
                            context: state.context.clone(),
                            arguments: arguments.to_vec(),
                            signature: Signature(signature),
                            subcalls: state.subcalls.clone(),
                        }
                    });
                    let Some(given) = serve(import).await else {
                        wasmtime::bail!("an imported function failed and its type has no error to say so");
                    };
                    if let (Some(slot), Some(value)) = (results.first_mut(), given) {
                        *slot = value;
                    }
                    Ok(())
                })
            })
        });
        linked.map_err(|error| mismatch(self.function, &error))
    }

    /// Checks that all imports are linked with the types that they have.
    pub fn finish(self) -> Result<Instances<G>, LoadError> {
        let instances = self.linker.instantiate_pre(&self.component.code);
        instances
            .map(Instances)
            .map_err(|error| mismatch(self.function, &error))
    }
}

fn mismatch(function: &str, error: &wasmtime::Error) -> LoadError {
    LoadError::ImportMismatch {
        function: function.to_owned(),
        reason: format!("{error:#}"),
    }
}
