//! Who may know whom in the host, read from its source, so that it stays true.

mod circles;

use std::path::{Path, PathBuf};

use crate::harness::manifest::root;

/// The crates of the host by floor, each with those of the project that it may use. Cargo keeps the direction; this says what
/// it is, so that whoever adds an edge has to say it here. What measures and what puts together may use everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("call", &[]),
    ("config", &[]),
    ("contract", &[]),
    ("policy", &[]),
    ("telemetry", &[]),
    ("password", &[]),
    ("snowflake", &[]),
    ("wire", &[]),
    ("codegen", &[]),
    ("dialect", &["contract"]),
    ("keyspace", &["contract"]),
    ("backends", &["config", "contract", "dialect", "keyspace"]),
    ("runtime", &["call", "config", "wire"]),
    (
        "capabilities",
        &[
            "backends",
            "call",
            "config",
            "contract",
            "password",
            "policy",
            "runtime",
            "snowflake",
            "wire",
        ],
    ),
    (
        "invoke",
        &[
            "call",
            "capabilities",
            "config",
            "contract",
            "policy",
            "runtime",
            "wire",
        ],
    ),
    (
        "gateway",
        &[
            "backends",
            "call",
            "capabilities",
            "config",
            "contract",
            "invoke",
            "wire",
        ],
    ),
    (
        "cluster",
        &["backends", "capabilities", "config", "contract", "snowflake", "wire"],
    ),
    ("admin", &["invoke", "runtime", "telemetry", "wire"]),
    ("client", &[]),
];

/// The code of a crate of the host, without its tests.
fn code_of(name: &str) -> String {
    let source = root().join("host").join(name).join("src");
    let is_test = |path: &Path| {
        let relative = path.strip_prefix(&source).expect("below");
        relative.iter().any(|part| part.to_string_lossy().starts_with("tests"))
    };
    let mut code = String::new();
    for path in files_below(&source).iter().filter(|path| !is_test(path)) {
        let text = std::fs::read_to_string(path).expect("readable");
        code.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
    }
    code
}

/// The crates of the host.
fn host_crates() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("host")).expect("a folder");
    let folders = entries.map(|entry| entry.expect("an entry").path());
    let crates = folders.filter(|folder| folder.join("Cargo.toml").is_file());
    crates
        .map(|folder| folder.file_name().expect("a name").to_string_lossy().into_owned())
        .collect()
}

/// The crates of the project that a crate of the host is made with, tests aside.
fn used_by(name: &str) -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("host").join(name).join("Cargo.toml")).expect("a crate");
    let manifest: toml::Table = manifest.parse().expect("a manifest");
    let used = manifest.get("dependencies").and_then(toml::Value::as_table);
    let used = used.into_iter().flat_map(toml::Table::keys);
    used.filter_map(|name| name.strip_prefix("mpim-").map(str::to_owned))
        .collect()
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn crates_of_the_host_know_each_other_by_floor() {
    let mut wrong = Vec::new();
    for name in host_crates() {
        if ["bench", "cli", "node"].contains(&name.as_str()) {
            continue;
        }
        match MAY_USE.iter().find(|(listed, _)| *listed == name) {
            None => wrong.push(format!("{name} is not listed")),
            Some((_, allowed)) => wrong.extend(
                used_by(&name)
                    .iter()
                    .filter(|used| !allowed.contains(&used.as_str()))
                    .map(|used| format!("{name} uses {used}")),
            ),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_no_business_of_a_crate_is_not_in_it() {
    let names = |name: &str, word: &str| code_lines(&code_of(name)).any(|line| line.to_lowercase().contains(word));
    for kind in ["sqlite", "mysql", "redis", "memory::"] {
        assert!(!names("gateway", kind), "the gateway names {kind}");
        assert!(!names("capabilities", kind), "the capabilities name {kind}");
    }
    for word in ["local(", "remote"] {
        let lines = code_of("gateway");
        let found =
            code_lines(&lines).find(|line| line.to_lowercase().contains(word) && !line.contains("remote functions"));
        assert!(found.is_none(), "the gateway knows where a function runs: {found:?}");
    }
    // A host function is written in Wasmtime's words; nobody else has to know them.
    let knows_wasmtime = |name: &String| {
        let manifest = root().join("host").join(name).join("Cargo.toml");
        std::fs::read_to_string(manifest)
            .expect("a crate")
            .contains("\nwasmtime")
    };
    let mut who: Vec<String> = host_crates().into_iter().filter(knows_wasmtime).collect();
    who.sort();
    assert_eq!(who, ["bench", "capabilities", "runtime"]);
}

#[test]
fn the_host_knows_no_table_and_no_function_of_messaging() {
    let tables = ["inbox", "conversations", "chat_groups", "device_cursors", "inbox_heads"];
    let functions = ["send-message", "pull-offline", "group-pull", "retry-pending"];
    for name in host_crates() {
        // What measures and what talks to a server of messaging knows it.
        if ["bench", "cli", "client"].contains(&name.as_str()) {
            continue;
        }
        for word in tables.iter().chain(&functions) {
            let code = code_of(&name);
            let named = code_lines(&code)
                .find(|line| line.contains(&format!("\"{word}")) || line.contains(&format!("FROM {word}")));
            assert!(named.is_none(), "{name} names {word}: {named:?}");
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

#[test]
fn no_two_files_of_a_crate_know_each_other() {
    let mut sources: Vec<PathBuf> = component_crates().map(|folder| folder.join("src")).collect();
    sources.extend(
        host_crates()
            .iter()
            .map(|name| root().join("host").join(name).join("src")),
    );
    for other in [
        "components/shared/native",
        "components/spin/backend",
        "components/spin/edge",
        "components/spin/scope",
    ] {
        sources.push(root().join(other).join("src"));
    }
    assert!(sources.len() > 35, "{} crates are not all", sources.len());
    let found: Vec<_> = sources
        .iter()
        .map(|source| (source, circles::circles(source)))
        .filter(|(_, circles)| !circles.is_empty())
        .collect();
    assert!(found.is_empty(), "circles: {found:#?}");
}
