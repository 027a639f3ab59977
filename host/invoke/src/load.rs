//! Making a table: every function of an application is compiled, read, checked, linked and warmed up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use capabilities::{Granted, Guest, Services};
use config::manifest::FunctionSource;
use config::{FunctionSettings, MethodName, Settings, ms};
use policy::{Breaker, Bulkhead};
use runtime::{Blueprint, Component, Docs, Engine, LoadError, Pool, PoolSettings, unversioned};

use crate::batch::Batch;
use crate::endpoint::{Endpoint, Kind};
use crate::exports::exports;
use crate::invoke::Invoke;
use crate::link::Linking;
use crate::local::Local;
use crate::remote::Remote;
use crate::route::Route;
use crate::signature::Signature;
use crate::table::{Function, Table, import_key};
use crate::target::Target;

/// The functions of an application that run on this node.
pub type Sources = BTreeMap<String, FunctionSource>;

/// The functions of an application that are remote.
pub struct Remotes {
    /// The way there.
    pub remote: Remote,
    /// The components of the functions that are known by the manifest: what they export is read, and nothing else.
    pub functions: Sources,
}

impl Invoke {
    /// Calls of the functions of an application. Those that run here are made ready; of the others only the way is known.
    pub async fn load(
        local: Sources,
        remote: Option<Remotes>,
        settings: &Settings,
        engine: &Arc<Engine>,
        services: &Arc<Services>,
    ) -> Result<Arc<Self>, LoadError> {
        let invoke = Arc::new(Self::new(settings.sandboxes.depth_max));
        let table = invoke.table_of(local, remote, settings, engine, services).await?;
        invoke.replace(table);
        Ok(invoke)
    }

    /// The table of an application, to be put in place with [`Invoke::replace`].
    pub async fn table_of(
        self: &Arc<Self>,
        local: Sources,
        remote: Option<Remotes>,
        settings: &Settings,
        engine: &Arc<Engine>,
        services: &Arc<Services>,
    ) -> Result<Table, LoadError> {
        let components = read_all(engine, local)?;
        let mut table = Table::default();
        let mut exporters = exporters(&components)?;
        if let Some(remotes) = remote {
            let endpoint = Arc::new(of_remote(remotes.remote, settings));
            for (name, source) in &remotes.functions {
                for interface in exports(&source.component) {
                    exporters.entry(interface).or_insert_with(|| name.clone());
                }
            }
            table.others = remotes.functions.into_keys().collect();
            table.rest = Some(endpoint);
        }
        let linking = Linking {
            engine,
            invoke: self,
            notify: settings.gateway.notify.as_deref(),
            exporters: &exporters,
        };
        for (name, (component, settings_of)) in components {
            let instances = linking.link(&name, &component)?;
            let function: Arc<str> = name.as_str().into();
            let blueprint = Blueprint {
                engine: engine.clone(),
                guest: Guest {
                    services: services.clone(),
                    granted: Arc::new(Granted::new(function.clone(), &settings_of, settings)),
                },
                memory_max_bytes: settings_of.memory_mib.min(settings.sandboxes.memory_max_mib) << 20,
                settings: Arc::new(settings.sandboxes.clone()),
            };
            let pool = Pool::new(
                function.clone(),
                &component,
                instances,
                blueprint,
                pool_settings(&settings_of),
            );
            pool.warm_up().await.map_err(|error| LoadError::NoSandbox {
                function: name.clone(),
                reason: format!("{error:#}"),
            })?;
            let function = function_of(function, component, pool, &settings_of, settings)?;
            function.routes.iter().for_each(|route| table.add(route.clone()));
            table.functions.insert(name, Arc::new(function));
        }
        pair(&mut table, settings, self.depth_max)?;
        import_all(&mut table, &exporters);
        Ok(table)
    }
}

type Components = BTreeMap<String, (Component, FunctionSettings)>;

fn read_all(engine: &Arc<Engine>, mut functions: Sources) -> Result<Components, LoadError> {
    let bytes = functions
        .iter()
        .map(|(name, function)| (name.clone(), function.component.clone()))
        .collect();
    let mut components = BTreeMap::new();
    for (name, compiled) in runtime::compile_all(engine, bytes) {
        let compiled = compiled.map_err(|error| LoadError::NotAComponent {
            function: name.clone(),
            reason: format!("{error:#}"),
        })?;
        let Some(source) = functions.remove(&name) else {
            continue;
        };
        let component = Component::read(&name, compiled, &Docs::of(&source.component))?;
        check_manifest(&name, &component, &source.settings)?;
        components.insert(name, (component, source.settings));
    }
    Ok(components)
}

/// What the manifest says of a function must be true of its component.
fn check_manifest(function: &str, component: &Component, settings: &FunctionSettings) -> Result<(), LoadError> {
    let exported = || component.interfaces.iter().map(|interface| interface.name.as_str());
    let missing = settings
        .public
        .iter()
        .find(|public| !exported().any(|name| unversioned(name) == public.as_str()));
    if let Some(interface) = missing {
        return Err(LoadError::NotExported {
            function: function.to_owned(),
            interface: interface.clone(),
            exported: exported().collect::<Vec<_>>().join(", "),
        });
    }
    let methods: BTreeSet<&str> = component.methods.iter().map(|method| method.name.as_str()).collect();
    match settings
        .safe_to_repeat
        .iter()
        .find(|name| !methods.contains(name.as_str()))
    {
        Some(name) => Err(LoadError::UnknownMethod {
            name: format!("{function}.{name}"),
            purpose: "safe to repeat",
        }),
        None => Ok(()),
    }
}

/// The function that exports each interface. A name without a package means something within its component alone: nobody
/// else can import it, and several may have it.
fn exporters(components: &Components) -> Result<BTreeMap<String, String>, LoadError> {
    let mut exporters: BTreeMap<String, String> = BTreeMap::new();
    for (name, (component, _)) in components {
        let interfaces = component.interfaces.iter().map(|interface| &interface.name);
        for interface in interfaces.filter(|interface| interface.contains(':')) {
            if let Some(first) = exporters.insert(interface.clone(), name.clone()) {
                return Err(LoadError::InterfaceTwice {
                    interface: interface.clone(),
                    first,
                    second: name.clone(),
                });
            }
        }
    }
    Ok(exporters)
}

fn pool_settings(settings: &FunctionSettings) -> PoolSettings {
    PoolSettings {
        min_warm: settings.min_warm.min(settings.max_sandboxes),
        max_reuse: settings.max_reuse,
        idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
        start_within: Duration::from_millis(settings.deadline_ms),
    }
}

fn function_of(
    name: Arc<str>,
    component: Component,
    pool: Pool<Guest>,
    settings: &FunctionSettings,
    node: &Settings,
) -> Result<Function, LoadError> {
    let endpoint = Arc::new(Endpoint {
        kind: Kind::Local(Box::new(Local {
            pool,
            sandboxes_max: settings.max_sandboxes,
        })),
        breaker: Breaker::new(node.breaker.failures, ms(node.breaker.open_ms)),
        bulkhead: Bulkhead::new(
            usize::try_from(settings.max_sandboxes).unwrap_or(1),
            settings.waiting_max,
        ),
        deadline: Duration::from_millis(settings.deadline_ms),
    });
    let routes = component.methods.iter().map(|method| {
        let signature = Arc::new(Signature::of(&name, method, settings));
        Arc::new(Route::new(Target {
            signature,
            binding: Some(method.clone()),
            endpoint: endpoint.clone(),
        }))
    });
    Ok(Function {
        routes: routes.collect(),
        name,
        component,
        endpoint,
    })
}

fn of_remote(remote: Remote, settings: &Settings) -> Endpoint {
    Endpoint {
        kind: Kind::Remote(Box::new(remote)),
        breaker: Breaker::new(settings.breaker.failures, ms(settings.breaker.open_ms)),
        bulkhead: Bulkhead::new(settings.remote.in_flight_max, settings.remote.waiting_max),
        deadline: Duration::from_millis(settings.remote.deadline_ms),
    }
}

/// Gives each method that the manifest has a batch method for what makes its calls as one.
fn pair(table: &mut Table, settings: &Settings, depth_max: u32) -> Result<(), LoadError> {
    const PURPOSE: &str = "calls in batches";
    for (one, many) in &settings.batch.methods {
        let named = |name: &MethodName| {
            table.named(name).ok_or_else(|| LoadError::UnknownMethod {
                name: name.to_string(),
                purpose: PURPOSE,
            })
        };
        let (route, many) = (named(one)?, named(many)?);
        let target = match &route.binding {
            Some(_) => Target::clone(&route),
            None => remote_one(&route, one, settings),
        };
        let batch = Batch::new(&target, Target::clone(&many), &settings.batch, depth_max)?;
        table.add(Arc::new(Route::batched(target, batch)));
    }
    Ok(())
}

/// Of a remote method, whose types are not known, a user's call has the user as its caller, unless it is one that the
/// gateway makes of its own.
fn remote_one(target: &Target, name: &MethodName, settings: &Settings) -> Target {
    let gateway = &settings.gateway;
    let mut hooks = gateway
        .verify
        .iter()
        .chain(&gateway.opened)
        .chain(&gateway.closed)
        .chain(&gateway.topics);
    let signature = Signature {
        takes_caller: !hooks.any(|hook| hook == name),
        safe_to_repeat: true,
        ..Signature::unknown(&target.signature.function, &target.signature.name)
    };
    Target {
        signature: Arc::new(signature),
        ..target.clone()
    }
}

/// What components import of other functions.
fn import_all(table: &mut Table, exporters: &BTreeMap<String, String>) {
    let mut imports = Vec::new();
    for function in table.functions.values() {
        for route in &function.routes {
            let Some(method) = &route.binding else { continue };
            imports.push((import_key(&method.interface, &method.name), route.clone()));
        }
        for interface in &function.component.imports {
            let exporter = exporters
                .get(interface)
                .filter(|name| !table.functions.contains_key(*name));
            if let (Some(exporter), Some(rest)) = (exporter, &table.rest) {
                for name in function.component.imported(interface) {
                    let route = Route::new(Target::unknown(exporter, &name, rest.clone()));
                    imports.push((import_key(interface, &name), Arc::new(route)));
                }
            }
        }
    }
    table.imports.extend(imports);
}
