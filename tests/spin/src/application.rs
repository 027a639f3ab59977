//! An application that can be served: its components compiled and linked to what Spin offers. It refuses to know the
//! requests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::cache;
use crate::guest::{Guest, Permits, link};
use crate::hosts::Hosts;
use crate::instances::Handler;
pub use crate::instances::Reuse;
use crate::manifest::Manifest;
use crate::routes::Routes;

/// What is served.
pub struct Application {
    pub(crate) routes: Routes,
    /// By name; those that no route leads to are not among them.
    pub(crate) handlers: BTreeMap<String, Handler>,
}

/// How an application is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Values of variables, before those of the environment.
    pub variables: BTreeMap<String, String>,
    /// How long instances live.
    pub reuse: Reuse,
    /// Whether what components write goes to the output of this process.
    pub heard: bool,
    /// A folder of this user alone for compiled components, which the next start takes from there.
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            variables: BTreeMap::new(),
            reuse: Reuse::default(),
            heard: true,
            cache: None,
        }
    }
}

impl Application {
    /// Compiles and links the components of a manifest. One that imports what Spin does not offer is an error that
    /// names the import.
    pub fn load(mut manifest: Manifest, options: &Options) -> Result<Self> {
        manifest
            .variables
            .give(&options.variables, |name| std::env::var(name).ok())?;
        let variables = Arc::new(manifest.variables);
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        link(&mut linker)?;
        let mut compiled: BTreeMap<PathBuf, ServicePre<Guest>> = BTreeMap::new();
        let mut handlers = BTreeMap::new();
        for (name, entry) in manifest.components {
            if !manifest.routes.list().any(|(_, component)| component == name) {
                continue;
            }
            let service = match compiled.get(&entry.source) {
                Some(service) => service.clone(),
                None => {
                    let component = cache::compile(&engine, &entry.source, options.cache.as_deref());
                    let service = component.and_then(|component| prepare(&linker, &component));
                    let service = service.with_context(|| format!("component `{name}`"))?;
                    compiled.insert(entry.source.clone(), service.clone());
                    service
                }
            };
            let permits = Permits {
                hosts: Hosts::read(&entry.hosts, &variables).map_err(|error| format!("{error:#}")),
                component: name.clone(),
                variables: Arc::clone(&variables),
                environment: entry.environment,
                heard: options.heard,
            };
            handlers.insert(name, Handler::new(service, Arc::new(permits), options.reuse));
        }
        Ok(Self {
            routes: manifest.routes,
            handlers,
        })
    }
}

fn prepare(linker: &Linker<Guest>, component: &Component) -> Result<ServicePre<Guest>> {
    let linked = linker.instantiate_pre(component)?;
    let service = ServicePre::new(linked).map_err(anyhow::Error::from);
    service.context("it exports no `wasi:http/handler@0.3.0`")
}
