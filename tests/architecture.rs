//! Who may know whom in the host, read from its source, so that it stays true.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::harness::manifest::root;

/// Each module of the host with the modules that it may use. What is not listed here is new: say where it belongs.
const MAY_USE: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("telemetry", &[]),
    ("bundle", &[]),
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
    for outside in ["lib", "main", "cli"] {
        modules.remove(outside);
    }
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

/// The folders of the crates that components consist of: those of the functions, and what these share. The adapters for
/// Spin stand where the host stands, and so does the world of the tests.
fn component_crates() -> impl Iterator<Item = PathBuf> {
    let below = |folder: &str| {
        let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path())
    };
    let functions = below("components").filter(|folder| !folder.ends_with("shared") && !folder.ends_with("spin"));
    functions.chain(below("components/shared").filter(|folder| !folder.ends_with("native")))
}

/// The files of a folder and of all below it.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .collect()
}

#[test]
fn components_have_time_and_chance_from_their_imports_alone() {
    let sources = [
        "SystemTime",
        "Instant",
        "UNIX_EPOCH",
        "getrandom",
        "RandomState",
        "rand::",
        "fastrand",
    ];
    let mut looked_at = 0;
    for folder in component_crates() {
        let guest = folder.ends_with("guest");
        for path in files_below(&folder) {
            let text = std::fs::read_to_string(&path).expect("readable");
            // What a component has of WASI; a native build is without it.
            let is_wasi = guest && path.ends_with("src/wasi.rs");
            let is_manifest_of_guest = guest && path.ends_with("Cargo.toml");
            if is_wasi || is_manifest_of_guest {
                continue;
            }
            looked_at += 1;
            for source in sources {
                let asks = code_lines(&text).any(|line| line.contains(source));
                assert!(!asks, "{} has {source} of its own", path.display());
            }
        }
        if guest {
            let library = std::fs::read_to_string(folder.join("src/lib.rs")).expect("readable");
            assert!(
                library.contains("#[cfg(target_arch = \"wasm32\")]\nmod wasi;"),
                "a native build asks WASI, and not the host of its test"
            );
        }
    }
    assert!(looked_at > 80, "{looked_at} files are not all of the components");
}

#[test]
fn components_reach_the_host_through_the_guest_crate_alone() {
    for folder in component_crates().filter(|folder| !folder.ends_with("guest")) {
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

/// Whether code names another module of its crate.
fn names_module(code: &str, module: &str) -> bool {
    let is_module = |path: &str| path.split("::").next().is_some_and(|first| first.trim() == module);
    code.split("crate::").skip(1).any(|rest| match rest.strip_prefix('{') {
        Some(list) => {
            let list = list.split(';').next().unwrap_or_default();
            list.split([',', '{', '}']).any(is_module)
        }
        None => {
            let end = rest.find(|next: char| !next.is_alphanumeric() && next != '_');
            is_module(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default())
        }
    })
}

/// The modules of a component that have files of their own, each with those of the others that it names. What is for tests
/// only is left out.
fn named_modules(source: &Path) -> BTreeMap<String, Vec<String>> {
    let mut code: BTreeMap<String, String> = BTreeMap::new();
    for path in files_below(source) {
        let relative = path.strip_prefix(source).expect("below");
        let first = relative.iter().next().expect("not empty").to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if !["lib", "bindings", "stories"].contains(&module.as_str()) {
            let text = std::fs::read_to_string(&path).expect("readable");
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let lines: Vec<&str> = code_lines(text).collect();
            code.entry(module).or_default().push_str(&lines.join(" "));
        }
    }
    let named = |module: &String, text: &String| {
        let others = code.keys().filter(|other| *other != module);
        others.filter(|other| names_module(text, other)).cloned().collect()
    };
    code.iter()
        .map(|(module, text)| (module.clone(), named(module, text)))
        .collect()
}

#[test]
fn modules_of_a_component_know_each_other_in_one_direction() {
    let mut named = 0;
    for folder in component_crates() {
        let mut modules = named_modules(&folder.join("src"));
        named += modules.values().map(Vec::len).sum::<usize>();
        // What names nothing that is left can be in no circle.
        loop {
            let left: Vec<String> = modules.keys().cloned().collect();
            modules.retain(|_, names| names.iter().any(|name| left.contains(name)));
            if modules.len() == left.len() {
                break;
            }
        }
        assert!(modules.is_empty(), "a circle in {}: {modules:#?}", folder.display());
    }
    assert!(named > 30, "{named} uses are not all that there are");
}
