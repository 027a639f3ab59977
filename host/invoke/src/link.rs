//! Linking a component: its `mpim:host` imports to capabilities, its imports of other functions'
//! interfaces to invokes, its notifications to the queues of gateways.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use call::{Caller, Fault, User};
use capabilities::Guest;
use runtime::values::{self, ToRecord as _};
use runtime::{Component, Engine, Import, Imports, Instances, LoadError, Val, unversioned};
use serde_json::{Map, Value};
use wire::json::snake;

use crate::arguments::fits_caller;
use crate::invoke::Invoke;
use crate::notify;
use crate::parts::{Parts, Reply};
use crate::stack;
use crate::table::import_key;
use crate::target::Target;

/// What every component is linked with.
pub(crate) struct Linking<'a> {
    pub(crate) engine: &'a Engine,
    /// Functions call each other through what holds them, not the other way round.
    pub(crate) invoke: &'a Arc<Invoke>,
    /// The interface of notifications, without its version.
    pub(crate) notify: Option<&'a str>,
    /// The function that exports each interface; names with versions.
    pub(crate) exporters: &'a BTreeMap<String, String>,
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

impl Linking<'_> {
    /// A component with all its imports, or what does not fit.
    pub(crate) fn link(&self, function: &str, component: &Component) -> Result<Instances<Guest>, LoadError> {
        check_callers(function, component)?;
        let mut imports = Imports::new(function, component, self.engine, capabilities::link)?;
        for import in &component.imports {
            let names = imports.functions(import);
            match self.offer(function, import, &names)? {
                Offer::Host => {}
                Offer::Types => imports.link_types(import)?,
                Offer::Notifications => {
                    for name in names {
                        imports.serve(import, &name.clone(), notification(name))?;
                    }
                }
                Offer::Function => {
                    for name in names {
                        let serve = invocation(Arc::downgrade(self.invoke), import, &name);
                        imports.serve(import, &name, serve)?;
                    }
                }
            }
        }
        imports.finish()
    }

    fn offer(&self, function: &str, import: &str, names: &[String]) -> Result<Offer, LoadError> {
        let plain = unversioned(import);
        if plain.starts_with("wasi:") || capabilities::OFFERED.contains(&plain) {
            return Ok(Offer::Host);
        }
        if names.is_empty() {
            return Ok(Offer::Types);
        }
        if self.notify == Some(plain) {
            return Ok(Offer::Notifications);
        }
        if self.exporters.contains_key(import) {
            return Ok(Offer::Function);
        }
        let mut offered: Vec<_> = capabilities::OFFERED.iter().map(|name| (*name).to_owned()).collect();
        offered.extend(self.exporters.keys().cloned());
        offered.extend(self.notify.map(str::to_owned));
        offered.sort();
        Err(LoadError::UnknownImport {
            function: function.to_owned(),
            import: import.to_owned(),
            offered: offered.join(", "),
        })
    }
}

/// A caller that the host cannot fill in is found here, not at the first call.
fn check_callers(function: &str, component: &Component) -> Result<(), LoadError> {
    for method in component.methods.iter().filter(|method| method.takes_caller) {
        let fits = method.parameters.first().is_some_and(|(_, ty)| fits_caller(ty));
        if !fits {
            return Err(LoadError::MethodMismatch {
                name: format!("{function}.{}", method.name),
                purpose: "a call of a logged-in user",
                reason: "its `caller` has fields that the host does not know".to_owned(),
            });
        }
    }
    Ok(())
}

fn notification(name: String) -> Arc<runtime::Serve<Guest>> {
    let name: Arc<str> = name.into();
    Arc::new(move |import| {
        let name = name.clone();
        Box::pin(async move { notify::result(notify::publish(&name, import).await).map(Some) })
    })
}

fn invocation(invoke: Weak<Invoke>, interface: &str, name: &str) -> Arc<runtime::Serve<Guest>> {
    let target: Arc<(String, String)> = Arc::new((import_key(interface, name), format!("{interface}.{name}")));
    Arc::new(move |import| {
        let (invoke, target) = (invoke.clone(), target.clone());
        Box::pin(async move {
            let (key, name) = &*target;
            match subcall(&invoke, key, name, &import).await {
                Ok(given) => Some(given),
                Err(fault) => import.signature.failed(&fault),
            }
        })
    })
}

/// A call of another function: it inherits what is left of the deadline, and the caller of the edge,
/// whatever the component writes in its place.
async fn subcall(invoke: &Weak<Invoke>, key: &str, name: &str, import: &Import<Guest>) -> Result<Option<Val>, Fault> {
    let unknown = || Fault::UnknownMethod(name.to_owned());
    let invoke = invoke
        .upgrade()
        .ok_or_else(|| Fault::Overloaded("the node is shutting down".to_owned()))?;
    let route = invoke.import(key).ok_or_else(unknown)?;
    let mut context = import.context.below();
    let parts = match &route.binding {
        Some(_) => Parts::Values(with_caller(&route, import).ok_or_else(unknown)?),
        None => {
            // The caller travels apart from the arguments: that of the edge, or whom the component names where there is none.
            if let (None, Some(user)) = (context.caller.user(), named_caller(import)) {
                context.caller = Caller::User(user);
            }
            Parts::Json(to_json(import))
        }
    };
    let depth_max = invoke.depth_max;
    let call = import.drive(async move { stack::invoke(&route, parts, context, depth_max).await });
    let reply = call
        .await
        .unwrap_or_else(|| Err(Fault::DeadlineExceeded(name.to_owned())))?;
    match reply {
        Reply::Value(value) => Ok(value),
        Reply::Json(outcome) => runtime::of_outcome(outcome, import.signature.result().as_ref()).ok_or_else(|| {
            tracing::error!(
                method = name,
                "the answer of a remote function does not fit the type of its import"
            );
            Fault::Trapped(name.to_owned())
        }),
    }
}

/// The arguments with the caller of the edge in place of what the component wrote.
fn with_caller(route: &Target, import: &Import<Guest>) -> Option<Vec<Val>> {
    let mut arguments = import.arguments.clone();
    let method = route.binding.as_ref()?;
    let caller = import.context.caller.user().filter(|_| method.takes_caller);
    if let (Some(user), Some(first), Some((_, ty))) = (caller, arguments.first_mut(), method.parameters.first()) {
        *first = user.to_val(ty)?;
    }
    Some(arguments)
}

/// The caller that a component wrote.
fn named_caller(import: &Import<Guest>) -> Option<User> {
    let (name, _) = import.signature.parameters().next()?;
    values::user(import.arguments.first().filter(|_| name == "caller")?)
}

/// The named arguments as JSON; the caller travels apart from them.
fn to_json(import: &Import<Guest>) -> Value {
    let parameters = import.signature.parameters().zip(&import.arguments);
    let given = parameters
        .enumerate()
        .filter(|(index, ((name, _), _))| *index > 0 || *name != "caller");
    let members = given.map(|(_, ((name, ty), value))| {
        let mut text = Vec::new();
        runtime::json::write(value, &ty, &mut text);
        (snake(name), serde_json::from_slice(&text).unwrap_or_default())
    });
    Value::Object(members.collect::<Map<_, _>>())
}
