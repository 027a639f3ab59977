//! Manifests for tests: the project's own, with some settings changed.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// A manifest that is written to a file.
#[derive(Clone)]
pub struct Manifest(Table);

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the package lies in the checkout")
        .to_owned()
}

impl Default for Manifest {
    /// The project's own, with components by absolute paths and hashes of passwords that cost little.
    fn default() -> Self {
        let text = std::fs::read_to_string(root().join("spin.toml")).expect("the manifest of the project");
        let mut manifest = Self(text.parse().expect("a TOML table"));
        let functions: Vec<String> = manifest.table("component").keys().cloned().collect();
        for function in functions {
            let component = manifest.table(&format!("component.{function}.tool.mpim"))["component"]
                .as_str()
                .expect("text")
                .to_owned();
            let path = root().join(component).display().to_string();
            manifest = manifest.set(&format!("component.{function}.tool.mpim.component"), path);
        }
        manifest
            .set("application.tool.mpim.password.memory_kib", 64)
            .set("application.tool.mpim.password.passes", 1)
            .set("component.login.tool.mpim.rates.login.burst", 1000.0)
    }
}

impl Manifest {
    /// Sets a value; tables on its way are made. A dot divides keys.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let (table, key) = path.rsplit_once('.').expect("a path of at least two keys");
        self.table(table).insert(key.to_owned(), value.into());
        self
    }

    /// Removes a value.
    pub fn without(mut self, path: &str) -> Self {
        let (table, key) = path.rsplit_once('.').expect("a path of at least two keys");
        self.table(table).remove(key);
        self
    }

    /// Adds a function whose component was built from `tests/guests`, with public interfaces.
    pub fn function(self, name: &str, fixture: &str, public: &[&str]) -> Self {
        let source = root().join("target/fixtures").join(format!("{fixture}.wasm"));
        let public: Vec<Value> = public.iter().map(|name| Value::from(*name)).collect();
        self.set(&format!("component.{name}.source"), source.display().to_string())
            .set(&format!("component.{name}.tool.mpim.public"), public)
    }

    /// The same application on Spin, with composed components in a folder.
    pub fn for_spin(&self, folder: &Path) -> Self {
        let mut manifest = self.clone();
        let functions: Vec<String> = manifest.table("component").keys().cloned().collect();
        for function in functions {
            let composed = folder.join(format!("{function}.wasm")).display().to_string();
            manifest = manifest.set(&format!("component.{function}.source"), composed);
        }
        manifest
    }

    /// The text.
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    fn table(&mut self, path: &str) -> &mut Table {
        path.split('.').fold(&mut self.0, |table, key| {
            let entry = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
            entry
                .as_table_mut()
                .unwrap_or_else(|| panic!("{path} leads through a value"))
        })
    }
}
