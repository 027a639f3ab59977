//! Who may know whom in the host, read from its source, so that it stays true.

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::manifest::root;

/// Each module of the host with the modules that it may use. What is not listed here is new: say where it belongs.
const MAY_USE: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("telemetry", &[]),
    ("fault", &[]),
    ("identity", &[]),
    ("docs", &[]),
    ("nested", &[]),
    ("places", &[]),
    ("breakers", &["config"]),
    ("remote", &["breakers", "config", "fault", "places"]),
    ("values", &["fault", "identity"]),
    ("json", &["values"]),
    ("manifest", &["config"]),
    ("engine", &["config"]),
    ("capabilities", &["breakers", "config"]),
    ("store", &["capabilities", "config", "dispatch", "identity", "nested"]),
    ("deployments", &["config", "docs"]),
    ("sandboxes", &["config", "fault", "places", "store"]),
    (
        "dispatch",
        &[
            "breakers",
            "capabilities",
            "config",
            "deployments",
            "docs",
            "engine",
            "fault",
            "identity",
            "json",
            "manifest",
            "nested",
            "sandboxes",
            "store",
            "values",
        ],
    ),
    ("openapi", &["deployments", "dispatch", "json"]),
    ("admin", &["dispatch"]),
    (
        "gateway",
        &[
            "admin",
            "capabilities",
            "config",
            "deployments",
            "dispatch",
            "fault",
            "identity",
            "json",
            "openapi",
            "remote",
            "telemetry",
            "values",
        ],
    ),
    ("storage", &["config"]),
    ("cluster", &["capabilities", "config", "gateway"]),
    ("timers", &["cluster", "config", "deployments", "gateway"]),
    (
        "server",
        &[
            "cluster",
            "timers",
            "storage",
            "breakers",
            "capabilities",
            "config",
            "dispatch",
            "engine",
            "gateway",
            "manifest",
            "remote",
            "telemetry",
        ],
    ),
];

/// The text of every module of the host's library, its submodules included, without its tests.
fn modules() -> BTreeMap<String, String> {
    let source = root().join("host/src");
    let mut modules: BTreeMap<String, String> = BTreeMap::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&source).expect("below");
                let first = relative
                    .components()
                    .next()
                    .expect("not empty")
                    .as_os_str()
                    .to_string_lossy()
                    .into_owned();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = std::fs::read_to_string(&path).expect("readable");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                if !is_test(relative) {
                    modules.entry(module).or_default().push_str(code);
                }
            }
        }
    }
    modules.remove("lib");
    modules
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str().to_string_lossy().starts_with("tests"))
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn modules_of_the_host_know_each_other_in_one_direction() {
    let modules = modules();
    let mut wrong = Vec::new();
    for (module, text) in &modules {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| name == module) else {
            wrong.push(format!("{module} is not listed"));
            continue;
        };
        for other in modules
            .keys()
            .filter(|other| *other != module && !allowed.contains(&other.as_str()))
        {
            let (path, list) = (format!("crate::{other}"), format!("{other}::"));
            let uses = code_lines(text).any(|line| {
                line.contains(&path) && !line.contains(&format!("{path}_"))
                    || line.contains("use crate::{") && line.contains(&list)
                    || line.contains("use crate::{") && line.contains(&format!("{other},"))
                    || line.contains("use crate::{") && line.contains(&format!("{other}}}"))
            });
            if uses {
                wrong.push(format!("{module} uses {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn backends_never_name_wasmtime_and_the_gateway_never_names_a_kind_of_backend() {
    let modules = modules();
    let names = |module: &str, word: &str| code_lines(&modules[module]).any(|line| line.to_lowercase().contains(word));
    let backends = std::fs::read_to_string(root().join("host/backends/Cargo.toml")).expect("a crate");
    assert!(!backends.contains("wasm"), "the backends know the runtime");
    for kind in ["sqlite", "mysql", "redis", "memory::"] {
        assert!(!names("gateway", kind), "the gateway names {kind}");
        assert!(!names("capabilities", kind), "the capabilities name {kind}");
    }
    assert!(!names("capabilities", "gateway::") && !names("dispatch", "gateway::"));
}

#[test]
fn the_host_knows_no_table_and_no_function_of_messaging() {
    let tables = ["inbox", "conversations", "chat_groups", "device_cursors", "inbox_heads"];
    let functions = ["send-message", "pull-offline", "group-pull", "retry-pending"];
    for (module, text) in modules() {
        for word in tables.iter().chain(&functions) {
            let named = code_lines(&text)
                .find(|line| line.contains(&format!("\"{word}")) || line.contains(&format!("FROM {word}")));
            assert!(named.is_none(), "{module} names {word}: {named:?}");
        }
    }
}

#[test]
fn components_reach_the_host_through_the_guest_crate_alone() {
    let mut folders = vec![
        root().join("components/shared/membership"),
        root().join("components/shared/message"),
    ];
    for entry in std::fs::read_dir(root().join("components")).expect("a folder") {
        let folder = entry.expect("an entry").path();
        // What functions share, and the adapters that stand where the host stands elsewhere.
        if !folder.ends_with("shared") && !folder.ends_with("spin") {
            folders.push(folder);
        }
    }
    for folder in folders {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a crate");
        assert!(
            !manifest.contains("wasmtime") && !manifest.contains("tokio"),
            "{name} knows the host"
        );
        for file in std::fs::read_dir(folder.join("src")).expect("a folder") {
            let path = file.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("bindings.rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                let touched = code_lines(&text).any(|line| line.contains("bindings::mpim"));
                assert!(!touched, "{} touches the imports", path.display());
            }
        }
    }
}
