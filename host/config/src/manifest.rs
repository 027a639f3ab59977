//! The manifest: one `spin.toml` that Spin reads as its application, and the host with its own
//! settings under `tool.mpim`.
//!
//! Spin's keys are known by name, so that a misspelt one is refused; what they mean is Spin's affair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::Settings;
use crate::function::FunctionSettings;

/// Where the files of an application come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// From a manifest on disk; paths in it start from its folder.
    File(PathBuf),
    /// Bundled into this binary.
    Bundled(&'static [(&'static str, &'static [u8])]),
}

/// An application that was read, with the bytes of its components.
#[derive(Debug)]
pub struct Application {
    /// The name that the manifest gives it.
    pub name: String,
    /// The settings of the host.
    pub settings: Settings,
    /// The functions by name.
    pub functions: BTreeMap<String, FunctionSource>,
}

/// A function as the manifest describes it.
#[derive(Debug)]
pub struct FunctionSource {
    /// The bytes of its component.
    pub component: Vec<u8>,
    /// Its settings.
    pub settings: FunctionSettings,
}

/// Why an application cannot be read. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file is missing or cannot be read.
    #[error("cannot read {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// The manifest is no TOML, or has keys or values that it must not have.
    #[error("{file} is not a valid manifest: {reason}")]
    Invalid {
        /// The manifest.
        file: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// This binary was built without an application.
    #[error("this binary bundles no application, name one with --app")]
    NothingBundled,
}

const MANIFEST: &str = "spin.toml";

impl Source {
    /// Reads the manifest and every component that it names.
    pub fn read(&self) -> Result<Application, ManifestError> {
        let label = self.label();
        let text = String::from_utf8(self.file(self.manifest_path())?).map_err(|_| ManifestError::Invalid {
            file: label.clone(),
            reason: "it is not UTF-8".to_owned(),
        })?;
        let manifest: Manifest = toml::from_str(&text).map_err(|error| ManifestError::Invalid {
            file: label.clone(),
            reason: error.to_string(),
        })?;
        if manifest.spin_manifest_version != 2 {
            let reason = format!(
                "spin_manifest_version is {}, it must be 2",
                manifest.spin_manifest_version
            );
            return Err(ManifestError::Invalid { file: label, reason });
        }
        let mut functions = BTreeMap::new();
        for (name, component) in manifest.component {
            let settings = component.tool.mpim.unwrap_or_default();
            functions.insert(
                name,
                FunctionSource {
                    component: self.file(settings.component.clone().unwrap_or(component.source))?,
                    settings,
                },
            );
        }
        let settings = manifest.application.tool.mpim.unwrap_or_default();
        Ok(Application {
            name: manifest.application.name,
            settings,
            functions,
        })
    }

    fn manifest_path(&self) -> String {
        match self {
            Self::File(path) => path
                .file_name()
                .map_or(MANIFEST.into(), |name| name.to_string_lossy().into_owned()),
            Self::Bundled(_) => MANIFEST.to_owned(),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bundled(_) => format!("the bundled {MANIFEST}"),
        }
    }

    fn file(&self, path: String) -> Result<Vec<u8>, ManifestError> {
        match self {
            Self::File(manifest) => {
                let path = manifest.parent().unwrap_or(Path::new("")).join(path);
                std::fs::read(&path).map_err(|error| ManifestError::Unreadable {
                    file: path.display().to_string(),
                    reason: error.to_string(),
                })
            }
            Self::Bundled([]) => Err(ManifestError::NothingBundled),
            Self::Bundled(files) => files
                .iter()
                .find(|(name, _)| *name == path)
                .map(|(_, bytes)| bytes.to_vec())
                .ok_or_else(|| ManifestError::Unreadable {
                    file: path,
                    reason: "it is not bundled into this binary".to_owned(),
                }),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "Spin's own keys are named so that unknown ones are refused")]
struct Manifest {
    spin_manifest_version: i64,
    application: ApplicationTable,
    #[serde(default)]
    variables: Table,
    #[serde(default)]
    trigger: Table,
    #[serde(default)]
    component: BTreeMap<String, ComponentTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "Spin's own keys are named so that unknown ones are refused")]
struct ApplicationTable {
    name: String,
    version: Option<String>,
    description: Option<String>,
    authors: Option<Vec<String>>,
    trigger: Option<Table>,
    #[serde(default)]
    tool: ApplicationTool,
}

#[derive(Default, Deserialize)]
struct ApplicationTool {
    mpim: Option<Settings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "Spin's own keys are named so that unknown ones are refused")]
struct ComponentTable {
    source: String,
    description: Option<String>,
    variables: Option<Table>,
    environment: Option<Table>,
    files: Option<Vec<Value>>,
    exclude_files: Option<Vec<String>>,
    allowed_http_hosts: Option<Vec<String>>,
    allowed_outbound_hosts: Option<Vec<String>>,
    key_value_stores: Option<Vec<String>>,
    sqlite_databases: Option<Vec<String>>,
    ai_models: Option<Vec<String>>,
    targets: Option<Vec<Value>>,
    build: Option<Table>,
    dependencies: Option<Table>,
    dependencies_inherit_configuration: Option<bool>,
    #[serde(default)]
    tool: ComponentTool,
}

#[derive(Default, Deserialize)]
struct ComponentTool {
    mpim: Option<FunctionSettings>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(manifest: &'static str) -> Result<Application, ManifestError> {
        let files: Vec<(&'static str, &'static [u8])> = vec![("spin.toml", manifest.as_bytes()), ("a.wasm", b"A")];
        Source::Bundled(files.leak()).read()
    }

    const GOOD: &str = r#"
spin_manifest_version = 2
[application]
name = "x"
[application.tool.mpim.gateway]
verify = "login.verify"
[component.a]
source = "a.wasm"
[component.a.tool.mpim]
public = ["mpim:im/login"]
[component.a.tool.mpim.config]
policy = "kick"
limit = 3
"#;

    #[test]
    fn a_manifest_gives_its_functions_with_their_bytes_and_settings() {
        let application = read(GOOD).expect("valid");
        let function = &application.functions["a"];
        assert_eq!(function.component, b"A");
        assert_eq!(function.settings.config["limit"].to_string(), "3");
        assert_eq!(application.settings.gateway.verify.expect("named").method, "verify");
    }

    #[test]
    fn unknown_keys_are_refused_wherever_they_stand() {
        for (key, wrong) in [
            ("verfy", GOOD.replace("verify =", "verfy =")),
            ("sauce", GOOD.replace("source =", "sauce =")),
            ("pubic", GOOD.replace("public =", "pubic =")),
            (
                "applicaton",
                GOOD.replace("[application]", "[applicaton]\n[application]"),
            ),
        ] {
            let error = read(wrong.leak()).expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn the_component_alone_is_what_the_host_runs() {
        let composed = GOOD.replace("source = \"a.wasm\"", "source = \"composed.wasm\"");
        let composed = composed.replace("public =", "component = \"a.wasm\"\npublic =");
        let application = read(composed.leak()).expect("valid");
        assert_eq!(application.functions["a"].component, b"A");
    }

    #[test]
    fn a_missing_component_is_named() {
        let error = read(GOOD.replace("a.wasm", "b.wasm").leak())
            .expect_err("missing")
            .to_string();
        assert!(error.contains("b.wasm"), "{error}");
    }
}
