//! The manifest `spin.toml` as Spin 4.1 reads it, and what of it is refused. It refuses to know what the components do.
//!
//! What Spin would take but this crate cannot run is refused as well, by its name: a test that passes here must not
//! fail there, and the other way round a manifest that needs more than this crate has must not seem to work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use toml::{Table, Value};

use crate::hosts::Hosts;
use crate::names::{ComponentName, VariableName};
use crate::routes::Routes;
use crate::variables::Variables;

/// A manifest that Spin runs.
#[derive(Debug)]
pub struct Manifest {
    /// The name of the application.
    pub name: String,
    /// Of the application and of its components; nothing is given yet.
    pub variables: Variables,
    /// Which component answers which path.
    pub routes: Routes,
    /// By name.
    pub components: BTreeMap<String, Component>,
}

/// A component of a manifest.
#[derive(Debug)]
pub struct Component {
    /// Where its bytes are; the file is there.
    pub source: PathBuf,
    /// The entries of `allowed_outbound_hosts`.
    pub hosts: Vec<String>,
    /// What WASI shows it as its environment.
    pub environment: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads and checks a manifest, or the `spin.toml` of a folder.
    pub fn read(path: &Path) -> Result<Self> {
        let path = if path.is_dir() {
            path.join("spin.toml")
        } else {
            path.to_owned()
        };
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).with_context(|| format!("{}", path.display()))
    }

    /// Checks the text of a manifest whose sources are below a folder.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        let version: Version = toml::from_str(text)?;
        ensure!(
            version.spin_manifest_version == Value::Integer(2),
            "invalid manifest version: {}",
            version.spin_manifest_version
        );
        let document: Document = toml::from_str(text)?;
        document.application.check()?;
        let mut variables = declare(document.variables)?;
        let mut components = BTreeMap::new();
        for (name, entry) in document.components {
            let component = entry.check(&name.0, folder, &mut variables);
            let component = component.with_context(|| format!("component `{}`", name.0))?;
            components.insert(name.0, component);
        }
        Ok(Self {
            name: document.application.name,
            variables,
            routes: read_routes(document.triggers, &components)?,
            components,
        })
    }
}

#[derive(Deserialize)]
struct Version {
    spin_manifest_version: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "spin_manifest_version")]
    _version: u8,
    application: Application,
    #[serde(default)]
    variables: BTreeMap<VariableName, Variable>,
    #[serde(rename = "trigger")]
    triggers: BTreeMap<String, Vec<Table>>,
    #[serde(rename = "component", default)]
    components: BTreeMap<ComponentName, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    name: String,
    #[serde(rename = "version", default)]
    _version: String,
    #[serde(rename = "description", default)]
    _description: String,
    #[serde(rename = "authors", default)]
    _authors: Vec<String>,
    #[serde(rename = "targets", default)]
    _targets: Vec<Value>,
    #[serde(rename = "trigger", default)]
    triggers: BTreeMap<String, Table>,
    #[serde(rename = "tool", default)]
    _tool: BTreeMap<String, Table>,
}

impl Application {
    /// What is set for all triggers of a kind: of HTTP there was a base of all routes once.
    fn check(&self) -> Result<()> {
        for (name, value) in self.triggers.get("http").into_iter().flatten() {
            ensure!(name == "base", "application.trigger.http: unknown field `{name}`");
            ensure!(
                value.as_str() == Some("/"),
                "application.trigger.http: the base must be part of each route"
            );
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    #[serde(rename = "description", default)]
    _description: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    default: Option<String>,
    #[serde(rename = "secret", default)]
    _secret: bool,
}

fn declare(variables: BTreeMap<VariableName, Variable>) -> Result<Variables> {
    let mut declared = BTreeMap::new();
    for (name, variable) in variables {
        ensure!(
            variable.required != variable.default.is_some(),
            "variable {:?} must be `required` or have a `default`, and not both",
            name.0
        );
        declared.insert(name.0, variable.default);
    }
    Variables::declare(declared)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    source: Value,
    #[serde(rename = "description", default)]
    _description: String,
    #[serde(default)]
    variables: BTreeMap<VariableName, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    files: Vec<Value>,
    #[serde(rename = "exclude_files", default)]
    _exclude_files: Vec<String>,
    #[serde(default)]
    allowed_http_hosts: Vec<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    ai_models: Vec<String>,
    #[serde(rename = "targets", default)]
    _targets: Vec<Value>,
    #[serde(rename = "build", default)]
    _build: Option<Build>,
    #[serde(rename = "tool", default)]
    _tool: BTreeMap<String, Table>,
    #[serde(rename = "dependencies_inherit_configuration", default)]
    _dependencies_inherit_configuration: Option<bool>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
    #[serde(rename = "profile", default)]
    _profile: BTreeMap<String, Table>,
}

/// How the source is made, which is no matter of running it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(rename = "command")]
    _command: Value,
    #[serde(rename = "workdir", default)]
    _workdir: Option<String>,
    #[serde(rename = "watch", default)]
    _watch: Vec<String>,
}

impl Entry {
    fn check(self, name: &str, folder: &Path, variables: &mut Variables) -> Result<Component> {
        let needs = [
            ("files", self.files.is_empty()),
            ("allowed_http_hosts", self.allowed_http_hosts.is_empty()),
            ("key_value_stores", self.key_value_stores.is_empty()),
            ("sqlite_databases", self.sqlite_databases.is_empty()),
            ("ai_models", self.ai_models.is_empty()),
            ("dependencies", self.dependencies.is_empty()),
        ];
        for (need, is_empty) in needs {
            ensure!(is_empty, "this stand-in has no `{need}`");
        }
        let Value::String(source) = self.source else {
            bail!("this stand-in takes its sources from files alone");
        };
        let source = folder.join(source);
        ensure!(source.is_file(), "no Wasm source at {}", source.display());
        let own = self.variables.into_iter();
        variables.add_component(name, &own.map(|(name, value)| (name.0, value)).collect())?;
        Hosts::check(&self.allowed_outbound_hosts, variables).context("`allowed_outbound_hosts` is malformed")?;
        Ok(Component {
            source,
            hosts: self.allowed_outbound_hosts,
            environment: self.environment,
        })
    }
}

/// A trigger of HTTP.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trigger {
    #[serde(default)]
    id: String,
    component: Option<Value>,
    route: Route,
    #[serde(default)]
    executor: Option<Executor>,
    #[serde(default)]
    static_response: Option<Value>,
    #[serde(default)]
    components: BTreeMap<String, Value>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Route {
    Path(String),
    /// For requests of other components alone.
    Private(Private),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Private {
    private: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Executor {
    #[serde(rename = "type")]
    kind: String,
}

fn read_routes(mut triggers: BTreeMap<String, Vec<Table>>, components: &BTreeMap<String, Component>) -> Result<Routes> {
    let http = triggers.remove("http").unwrap_or_default();
    if let Some(other) = triggers.keys().next() {
        bail!("this stand-in has no triggers of `{other}`");
    }
    let mut routes = Routes::default();
    let mut ids = BTreeSet::new();
    for table in http {
        let trigger: Trigger = Value::Table(table).try_into().context("trigger of `http`")?;
        ensure!(
            trigger.id.is_empty() || ids.insert(trigger.id.clone()),
            "two triggers have the id `{}`",
            trigger.id
        );
        trigger.add_to(&mut routes, components)?;
    }
    ensure!(routes.list().next().is_some(), "no trigger of `http` has a route");
    Ok(routes)
}

impl Trigger {
    fn add_to(self, routes: &mut Routes, components: &BTreeMap<String, Component>) -> Result<()> {
        let plain = self.components.is_empty() && self.dependencies.is_empty() && self.static_response.is_none();
        ensure!(plain, "this stand-in has triggers with a `component` alone");
        let component = match self.component {
            Some(Value::String(component)) => component,
            Some(_) => bail!("this stand-in has no components within triggers"),
            None => bail!("a trigger must have a `component` or a `static_response`"),
        };
        if let Some(executor) = self.executor {
            ensure!(
                ["http", "spin"].contains(&executor.kind.as_str()),
                "this stand-in has no executor `{}`",
                executor.kind
            );
        }
        ensure!(
            components.contains_key(&component),
            "a trigger refers to the component `{component}`, which is not there"
        );
        match self.route {
            Route::Path(path) => routes.add(&path, &component),
            Route::Private(Private { private }) => {
                ensure!(private, "a route is a path or `{{ private = true }}`");
                Ok(())
            }
        }
    }
}
