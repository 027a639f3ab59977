//! One component out of many: a function's edge, the function, those that it calls, and the adapters.
//!
//! The backend is there once, with one set of connections for all. Before each function stands a scope of its own, which
//! is told by the function's settings whose it is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wac_graph::types::{ItemKind, Package};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

use crate::functions::Functions;
use crate::manifest::Manifest;
use crate::{edges, settings, write};

/// Where the adapters lie.
const ADAPTERS: &str = "target/components";
/// Where the edges are built, below cargo's folder.
const EDGES: &str = "wasm32-wasip2/component";

/// Interfaces of types alone that the backend exports.
const TYPES: [&str; 3] = [
    "mpim:im/types@0.1.0",
    "mpim:host/types@0.1.0",
    "mpim:host/gateway@0.1.0",
];

/// Joins every function with what it needs.
pub(crate) fn all(root: &Path, manifest: &Manifest, functions: &Functions, out: &Path) -> Result<()> {
    let built = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
    for (name, _) in functions.iter() {
        let file = format!("{}.wasm", edges::package(name).replace('-', "_"));
        let parts = Parts {
            backend: read(&root.join(ADAPTERS).join("spin-backend.wasm"))?,
            scope: read(&root.join(ADAPTERS).join("spin-scope.wasm"))?,
            edge: read(&built.join(EDGES).join(file))?,
        };
        let composed = one(manifest, functions, &parts).with_context(|| format!("composing {name}"))?;
        write(&out.join(format!("{name}.wasm")), &composed)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

/// What every composition has besides its functions.
struct Parts {
    backend: Vec<u8>,
    scope: Vec<u8>,
    edge: Vec<u8>,
}

fn one(manifest: &Manifest, functions: &Functions, parts: &Parts) -> Result<Vec<u8>> {
    let mut joined = Joined {
        graph: CompositionGraph::new(),
        functions,
        manifest,
        instances: BTreeMap::new(),
        scope_package: None,
        backend: None,
    };
    let backend = joined.register("mpim:backend", &parts.backend)?;
    joined.backend = Some(joined.graph.instantiate(backend));
    joined.scope_package = Some(joined.register("mpim:scope", &parts.scope)?);
    let edge = joined.register("mpim:edge", &parts.edge)?;
    let edge_instance = joined.graph.instantiate(edge);
    for import in joined.imports(edge) {
        let from = match functions.exporter(&import) {
            Some(function) => Some(joined.function(function, &mut Vec::new())?),
            None => joined.backend,
        };
        joined.connect(edge_instance, &import, from)?;
    }
    for export in joined.exports(edge) {
        let alias = joined.graph.alias_instance_export(edge_instance, &export)?;
        joined.graph.export(alias, export)?;
    }
    Ok(joined.graph.encode(EncodeOptions::default())?)
}

struct Joined<'a> {
    graph: CompositionGraph,
    functions: &'a Functions,
    manifest: &'a Manifest,
    /// Functions that are there already.
    instances: BTreeMap<String, NodeId>,
    scope_package: Option<PackageId>,
    backend: Option<NodeId>,
}

impl Joined<'_> {
    fn register(&mut self, name: &str, bytes: &[u8]) -> Result<PackageId> {
        let package = Package::from_bytes(name, None, bytes, self.graph.types_mut())?;
        Ok(self.graph.register_package(package)?)
    }

    /// A function with its own scope; those that it calls are made first.
    fn function(&mut self, name: &str, callers: &mut Vec<String>) -> Result<NodeId> {
        if let Some(there) = self.instances.get(name) {
            return Ok(*there);
        }
        if callers.iter().any(|caller| caller == name) {
            bail!(
                "functions call each other in a circle: {} → {name}",
                callers.join(" → ")
            );
        }
        callers.push(name.to_owned());
        let scope = self.scope(name)?;
        let functions = self.functions;
        let package = self.register(&format!("mpim:function-{name}"), &functions.get(name)?.bytes)?;
        let instance = self.graph.instantiate(package);
        for import in self.imports(package) {
            let from = match functions.exporter(&import) {
                // An interface of which nothing is called: its function need not be there.
                Some(_) if self.only_mentions(package, &import) => {
                    self.connect_to_types(instance, &import)?;
                    continue;
                }
                Some(function) => Some(self.function(function, callers)?),
                None if self.has(scope, &import) => Some(scope),
                None => self.backend,
            };
            self.connect(instance, &import, from)?;
        }
        callers.pop();
        self.instances.insert(name.to_owned(), instance);
        Ok(instance)
    }

    /// What stands before a function.
    fn scope(&mut self, name: &str) -> Result<NodeId> {
        let component = self.manifest.component.get(name).context("it is not in the manifest")?;
        let settings = settings::component(name, component.settings())?;
        let settings = self.register(&format!("mpim:settings-{name}"), &settings)?;
        let settings = self.graph.instantiate(settings);
        let package = self.scope_package.context("there is no scope")?;
        let scope = self.graph.instantiate(package);
        for import in self.imports(package) {
            let from = if self.has(settings, &import) {
                Some(settings)
            } else {
                self.backend
            };
            self.connect(scope, &import, from)?;
        }
        Ok(scope)
    }

    /// Gives an instance what it imports, where another one has it; what nobody has is the platform's.
    fn connect(&mut self, instance: NodeId, import: &str, from: Option<NodeId>) -> Result<()> {
        let Some(from) = from.filter(|from| self.has(*from, import)) else {
            return Ok(());
        };
        let export = self.graph.alias_instance_export(from, import)?;
        let connected = self.graph.set_instantiation_argument(instance, import, export);
        connected.with_context(|| format!("the import {import}"))
    }

    /// Gives an instance types that it imports under the name of an interface: the backend exports all that are shared.
    fn connect_to_types(&mut self, instance: NodeId, import: &str) -> Result<()> {
        let backend = self.backend.context("there is no backend")?;
        for export in TYPES {
            let export = self.graph.alias_instance_export(backend, export)?;
            if self.graph.set_instantiation_argument(instance, import, export).is_ok() {
                return Ok(());
            }
        }
        // Left to the platform: types alone need nothing there.
        Ok(())
    }

    fn has(&self, instance: NodeId, export: &str) -> bool {
        let package = self
            .graph
            .nodes()
            .zip(self.graph.node_ids())
            .find(|(_, id)| *id == instance);
        let package = package.and_then(|(node, _)| node.package());
        package.is_some_and(|package| self.exports(package).iter().any(|name| name == export))
    }

    /// Whether a component names an interface among its imports and takes nothing but types out of it.
    fn only_mentions(&self, package: PackageId, import: &str) -> bool {
        match self.world(package).imports.get(import) {
            Some(ItemKind::Instance(id)) => {
                let mut items = self.graph.types()[*id].exports.values();
                items.all(|item| matches!(item, ItemKind::Type(_)))
            }
            _ => false,
        }
    }

    fn imports(&self, package: PackageId) -> Vec<String> {
        self.world(package).imports.keys().cloned().collect()
    }

    fn exports(&self, package: PackageId) -> Vec<String> {
        self.world(package).exports.keys().cloned().collect()
    }

    fn world(&self, package: PackageId) -> &wac_graph::types::World {
        &self.graph.types()[self.graph[package].ty()]
    }
}
