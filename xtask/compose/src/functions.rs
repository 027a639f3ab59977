//! The functions of an application, and who calls whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use wit_component::{DecodedWasm, decode};
use wit_parser::{Resolve, WorldId};

use crate::manifest::Manifest;

/// A function.
#[derive(Debug)]
pub(crate) struct Function {
    /// Its component.
    pub(crate) bytes: Vec<u8>,
    /// Its WIT.
    pub(crate) resolve: Resolve,
    /// The world that its component has.
    pub(crate) world: WorldId,
    /// What it imports, with versions.
    pub(crate) imports: Vec<String>,
    /// What it exports, with versions.
    pub(crate) exports: Vec<String>,
}

/// All of them, by name.
#[derive(Debug)]
pub(crate) struct Functions(BTreeMap<String, Function>);

impl Functions {
    /// Reads the components that the manifest names.
    pub(crate) fn read(root: &Path, manifest: &Manifest) -> Result<Self> {
        let mut functions = BTreeMap::new();
        for (name, component) in &manifest.component {
            let Some(file) = &component.settings().component else {
                bail!("[component.{name}.tool.mpim] names no `component`");
            };
            let function = Function::read(&root.join(file)).with_context(|| file.clone())?;
            functions.insert(name.clone(), function);
        }
        let functions = Self(functions);
        functions.check()?;
        Ok(functions)
    }

    /// An interface has one function: of two, one would be called by the other's name.
    fn check(&self) -> Result<()> {
        let mut exporters: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, function) in self.iter() {
            for export in function.exports.iter().filter(|export| export.contains(':')) {
                if let Some(first) = exporters.insert(export, name) {
                    bail!("{export} is exported by both {first} and {name}");
                }
            }
        }
        Ok(())
    }

    /// One by its name.
    pub(crate) fn get(&self, name: &str) -> Result<&Function> {
        self.0.get(name).with_context(|| format!("there is no function {name}"))
    }

    /// All by their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Function)> {
        self.0.iter()
    }

    /// The function that exports an interface.
    pub(crate) fn exporter(&self, interface: &str) -> Option<&str> {
        let exports = |function: &Function| function.exports.iter().any(|export| export == interface);
        let exporter = self.0.iter().find(|(_, function)| exports(function));
        exporter.map(|(name, _)| name.as_str())
    }

    /// A function with all that it calls, and those that these call.
    pub(crate) fn closure(&self, name: &str) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            let function = self.get(&name)?;
            if all.insert(name) {
                let called = function.imports.iter().filter_map(|import| self.exporter(import));
                open.extend(called.map(str::to_owned));
            }
        }
        Ok(all)
    }
}

impl Function {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let DecodedWasm::Component(resolve, world) = decode(&bytes)? else {
            bail!("it is no component");
        };
        let names = |items: &wit_parser::IndexMap<wit_parser::WorldKey, wit_parser::WorldItem>| {
            items.keys().map(|key| resolve.name_world_key(key)).collect()
        };
        let (imports, exports) = match resolve.worlds.get(world) {
            Some(world) => (names(&world.imports), names(&world.exports)),
            None => (Vec::new(), Vec::new()),
        };
        Ok(Self {
            bytes,
            resolve,
            world,
            imports,
            exports,
        })
    }
}
