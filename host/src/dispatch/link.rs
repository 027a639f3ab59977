//! Linking a component: its `mpim:host` imports to capabilities, its imports of other functions'
//! interfaces to invokes, its notifications to the queues of gateways.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Linker, Val};

use super::{Dispatch, Function, notify};
use crate::breakers::Breaker;
use crate::capabilities::{self, Granted, Guest, Node};
use crate::config::Settings;
use crate::deployments::{LoadError, Method, Version, unversioned};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::identity::Caller;
use crate::manifest::FunctionSource;
use crate::nested::Nested;
use crate::sandboxes::Sandboxes;
use crate::store::{Blueprint, Context, State};
use crate::values::{self, ToRecord};

/// What every function is linked with.
pub(super) struct Linking<'a> {
    engine: &'a Engine,
    node: &'a Arc<Node>,
    settings: &'a Settings,
    dispatch: &'a Arc<Dispatch>,
}

/// What an import is linked to.
enum Offer {
    /// WASI or a capability: linked for all at once.
    Host,
    /// Nothing is called: the interface has types alone.
    Types,
    /// The notifications of the gateway.
    Notifications,
    /// Another function.
    Function,
}

impl<'a> Linking<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        node: &'a Arc<Node>,
        settings: &'a Settings,
        dispatch: &'a Arc<Dispatch>,
    ) -> Self {
        Self {
            engine,
            node,
            settings,
            dispatch,
        }
    }

    /// A function with an empty pool, or what does not fit.
    pub(super) fn function(&self, name: &str, version: Version, source: FunctionSource) -> Result<Function, LoadError> {
        let mismatch = |error: wasmtime::Error| LoadError::ImportMismatch {
            function: name.to_owned(),
            reason: format!("{error:#}"),
        };
        check_callers(&version)?;
        let mut linker = Linker::new(self.engine.wasm());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(mismatch)?;
        capabilities::add_to_linker(&mut linker, |state: &mut State| &mut state.guest).map_err(mismatch)?;
        for import in &version.imports {
            match self.offer(name, &version, import)? {
                Offer::Host => {}
                Offer::Types => {
                    linker.instance(import).map_err(mismatch)?;
                }
                Offer::Notifications => self
                    .link(&mut linker, &version, import, notification)
                    .map_err(mismatch)?,
                Offer::Function => self.link(&mut linker, &version, import, invocation).map_err(mismatch)?,
            }
        }
        let instance = linker.instantiate_pre(&version.component).map_err(mismatch)?;
        let function: Arc<str> = name.into();
        let settings = source.settings;
        let guest = Guest {
            node: self.node.clone(),
            granted: Arc::new(Granted::new(function.clone(), &settings, self.settings)),
            deadline: tokio::time::Instant::now(),
        };
        let blueprint = Blueprint {
            engine: self.engine.wasm().clone(),
            guest,
            memory_max_bytes: settings.memory_mib.min(self.settings.sandboxes.memory_max_mib) << 20,
            settings: Arc::new(self.settings.sandboxes.clone()),
            dispatch: Arc::downgrade(self.dispatch),
        };
        let deadline_ms = settings.deadline_ms;
        let exports = version.exports.clone();
        Ok(Function {
            sandboxes: Sandboxes::new(function.clone(), blueprint, instance, exports, settings),
            name: function,
            version,
            breaker: Breaker::new(self.settings.breaker.clone()),
            deadline_ms,
        })
    }

    fn offer(&self, function: &str, version: &Version, import: &str) -> Result<Offer, LoadError> {
        let plain = unversioned(import);
        if plain.starts_with("wasi:") || capabilities::OFFERED.contains(&plain) {
            return Ok(Offer::Host);
        }
        if self.imported(version, import).is_empty() {
            return Ok(Offer::Types);
        }
        if self.settings.gateway.notify.as_deref() == Some(plain) {
            return Ok(Offer::Notifications);
        }
        if self.dispatch.exporters.contains_key(import) {
            return Ok(Offer::Function);
        }
        let mut offered: Vec<_> = capabilities::OFFERED.iter().map(|name| (*name).to_owned()).collect();
        offered.extend(self.dispatch.exporters.keys().cloned());
        offered.extend(self.settings.gateway.notify.clone());
        offered.sort();
        Err(LoadError::UnknownImport {
            function: function.to_owned(),
            import: import.to_owned(),
            offered: offered.join(", "),
        })
    }

    /// Links each function of an imported interface to what `target` makes of its name.
    fn link(
        &self,
        linker: &mut Linker<State>,
        version: &Version,
        import: &str,
        target: fn(&mut wasmtime::component::LinkerInstance<'_, State>, &str, &str) -> wasmtime::Result<()>,
    ) -> wasmtime::Result<()> {
        let mut interface = linker.instance(import)?;
        for name in self.imported(version, import) {
            target(&mut interface, import, &name)?;
        }
        Ok(())
    }

    /// The functions that a component imports from an interface, or the import itself, when it is none.
    fn imported(&self, version: &Version, import: &str) -> Vec<String> {
        let engine = self.engine.wasm();
        let component = version.component.component_type();
        let Some(ComponentItem::ComponentInstance(instance)) =
            component.get_import(engine, import).map(|import| import.ty)
        else {
            return vec![import.to_owned()];
        };
        let functions = instance
            .exports(engine)
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)));
        functions.map(|(name, _)| name.to_owned()).collect()
    }
}

/// A caller that the host cannot fill in is found here, not at the first call.
fn check_callers(version: &Version) -> Result<(), LoadError> {
    let anyone = Caller {
        user: 0,
        session: 0,
        device: "".into(),
        connection: None,
    };
    for method in version.methods.iter().filter(|method| method.takes_caller) {
        let fits = method
            .parameters
            .first()
            .is_some_and(|(_, ty)| anyone.to_val(ty).is_some());
        if !fits {
            return Err(LoadError::MethodMismatch {
                name: method.full_name(),
                purpose: "a call of a logged-in user",
                reason: "its `caller` has fields that the host does not know".to_owned(),
            });
        }
    }
    Ok(())
}

type LinkerInstance<'a> = wasmtime::component::LinkerInstance<'a, State>;
type Calling<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'a>>;

fn notification(interface: &mut LinkerInstance<'_>, _import: &str, name: &str) -> wasmtime::Result<()> {
    let name: Arc<str> = name.into();
    interface.func_new_concurrent(name.clone().as_ref(), move |accessor, signature, arguments, results| {
        let name = name.clone();
        Box::pin(async move {
            let node = accessor.with(|mut store| store.get().guest.node.clone());
            let outcome = notify::publish(&node, &name, &signature, arguments).await;
            give(results, notify::result(outcome))
        })
    })
}

fn invocation(interface: &mut LinkerInstance<'_>, import: &str, name: &str) -> wasmtime::Result<()> {
    let target: Arc<(String, String)> = Arc::new((import.to_owned(), name.to_owned()));
    interface.func_new_concurrent(name, move |accessor, signature, arguments, results| -> Calling<'_> {
        let target = target.clone();
        Box::pin(async move {
            let (dispatch, context, nested) = accessor.with(|mut store| {
                let state = store.get();
                (state.dispatch.clone(), state.context.clone(), state.nested.clone())
            });
            match call(dispatch, &target.0, &target.1, arguments, context, &nested).await {
                Ok(value) => results.iter_mut().zip(value).for_each(|(slot, value)| *slot = value),
                Err(fault) => give(results, failed(&fault, &signature))?,
            }
            Ok(())
        })
    })
}

fn give(results: &mut [Val], value: Option<Val>) -> wasmtime::Result<()> {
    let (Some(slot), Some(value)) = (results.first_mut(), value) else {
        wasmtime::bail!("an imported function failed and its type has no error to say so");
    };
    *slot = value;
    Ok(())
}

/// The fault as the error of the imported function, where its type has the project's error.
fn failed(fault: &Fault, signature: &ComponentFunc) -> Option<Val> {
    values::fault_result(fault, &signature.results().next()?)
}

/// A call of another function: it inherits what is left of the deadline, and the caller of the edge,
/// whatever the component writes in its place.
async fn call(
    dispatch: Weak<Dispatch>,
    interface: &str,
    name: &str,
    arguments: &[Val],
    context: Context,
    nested: &Nested,
) -> Result<Option<Val>, Fault> {
    let unknown = || Fault::UnknownMethod(format!("{interface}.{name}"));
    let dispatch = dispatch
        .upgrade()
        .ok_or_else(|| Fault::Overloaded("the node is shutting down".to_owned()))?;
    let exporter = dispatch.exporters.get(interface).ok_or_else(unknown)?;
    let method = find(&dispatch, exporter, interface, name).ok_or_else(unknown)?;
    let mut arguments = arguments.to_vec();
    if let (true, Some(caller), Some(first), Some((_, ty))) = (
        method.takes_caller,
        &context.caller,
        arguments.first_mut(),
        method.parameters.first(),
    ) {
        *first = caller.to_val(ty).ok_or_else(unknown)?;
    }
    let context = Context {
        depth: context.depth + 1,
        ..context
    };
    let given_up = || Fault::DeadlineExceeded(format!("{interface}.{name}"));
    let answer = nested.run(async move { dispatch.invoke(&method, arguments, context).await });
    answer.await.unwrap_or_else(|| Err(given_up()))
}

fn find(dispatch: &Dispatch, function: &str, interface: &str, name: &str) -> Option<Arc<Method>> {
    let methods = &dispatch.function(function)?.version.methods;
    methods
        .iter()
        .find(|method| method.interface == interface && method.name == name)
        .cloned()
}
