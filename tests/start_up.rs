//! A node that cannot start says what is wrong, and where; it neither hangs nor half starts.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rusqlite::Connection;

use crate::harness::manifest::root;
use crate::harness::node::{Folder, mpim, share_compiled};
use crate::harness::{Manifest, Node};

/// Starts a node that must not start. Gives what it says: one line, or what it quotes of a file.
fn refused_at(listen: &str, data: &Path, app: &Path) -> String {
    let mut child = mpim()
        .args(["up", "--listen", listen, "--data"])
        .arg(data)
        .arg("--app")
        .arg(app)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut first = String::new();
    // Ends with the first line, or with the process.
    let read = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first);
    if read.expect("read") > 0 {
        child.kill().expect("killed");
        child.wait().expect("gone");
        panic!("it started: {first}");
    }
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut said)
        .expect("UTF-8");
    assert_eq!(child.wait().expect("gone").code(), Some(1), "{said}");
    let reason = said
        .split_once("mpim: ")
        .unwrap_or_else(|| panic!("no reason: {said}"))
        .1;
    assert!(!said.contains("panicked") && !reason.contains(" at 0x"), "{said}");
    reason.to_owned()
}

fn refused_in(folder: &Folder, manifest: &str) -> String {
    let app = folder.path().join("spin.toml");
    std::fs::write(&app, manifest).expect("delivered");
    share_compiled(folder.path());
    refused_at("127.0.0.1:0", &folder.path().join("data"), &app)
}

fn refused(manifest: &Manifest) -> String {
    refused_in(&Folder::new(), &manifest.text())
}

/// Fails unless the text has every part.
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is not said in: {said}");
    }
}

/// The folder of a node that was stopped.
fn used() -> Arc<Folder> {
    let node = Node::start();
    let folder = node.folder.clone();
    assert_eq!(node.stop(), Some(0));
    folder
}

fn database(folder: &Folder) -> PathBuf {
    folder.path().join("data/mpim.sqlite")
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = Folder::new();
    let app = folder.path().join("spin.toml");
    std::fs::write(&app, Manifest::default().text()).expect("delivered");
    let said = refused_at(&address, &folder.path().join("data"), &app);
    says(&said, &[&address, "in use"]);
}

#[test]
fn an_unknown_key_of_the_manifest_is_named_with_its_line() {
    for key in [
        "application.tool.mpim.gateway.verfy",
        "application.tool.mpim.sandboxs",
        "component.send.tool.mpim.deadline",
        "component.send.tool.mpim.rates.login.per_minute",
        "component.send.sauce",
        "application.nam",
        "triger.x",
    ] {
        let manifest = Manifest::default().set(key, 1).text();
        let word = key.rsplit('.').find(|word| *word != "x").expect("a word");
        let line = manifest.lines().position(|line| line.contains(word)).expect("there") + 1;
        let said = refused_in(&Folder::new(), &manifest);
        says(&said, &["spin.toml", word, &format!("line {line}")]);
    }
}

#[test]
fn a_setting_of_the_wrong_kind_or_size_is_named() {
    for (key, value) in [
        (
            "application.tool.mpim.gateway.frame_max_bytes",
            toml::Value::from("much"),
        ),
        ("application.tool.mpim.gateway.frame_max_bytes", (-1).into()),
        ("application.tool.mpim.cluster.heartbeat_ms", 0.into()),
        ("application.tool.mpim.sqlite.synchronous", "sometimes".into()),
        ("application.tool.mpim.gateway.verify", "login".into()),
        ("component.send.tool.mpim.public", "mpim:im/send".into()),
    ] {
        let said = refused(&Manifest::default().set(key, value));
        says(&said, &["spin.toml", key.rsplit('.').next().expect("a key"), "line"]);
    }
}

#[test]
fn a_setting_beyond_all_measure_is_as_much_as_there_is() {
    let mut manifest = Manifest::default();
    for key in [
        "gateway.frame_max_bytes",
        "gateway.login_within_ms",
        "gateway.renew_every_ms",
        "password.parallel_max",
        "queue.receive_max",
        "sqlite.busy_timeout_ms",
        "sqlite.statement_timeout_ms",
    ] {
        manifest = manifest.set(&format!("application.tool.mpim.{key}"), i64::MAX);
    }
    let node = Node::with(&manifest.set("component.login.tool.mpim.deadline_ms", i64::MAX));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn what_is_no_manifest_is_said_to_be_none() {
    let folder = Folder::new();
    says(&refused_in(&folder, "\0\0nonsense"), &["spin.toml", "line 1"]);
    let old = Manifest::default()
        .text()
        .replace("spin_manifest_version = 2", "spin_manifest_version = 1");
    says(&refused_in(&folder, &old), &["spin.toml", "spin_manifest_version is 1"]);
    let nowhere = folder.path().join("nowhere.toml");
    let said = refused_at("127.0.0.1:0", &folder.path().join("data"), &nowhere);
    says(&said, &["nowhere.toml", "No such file"]);
}

#[test]
fn a_component_that_is_missing_is_named() {
    let said = refused(&Manifest::default().set("component.send.tool.mpim.component", "/nowhere/send.wasm"));
    says(&said, &["/nowhere/send.wasm", "No such file"]);
}

#[test]
fn bytes_that_are_no_component_are_told_with_their_function() {
    let folder = Folder::new();
    let file = folder.path().join("send.wasm");
    let whole = std::fs::read(root().join("target/components/send.wasm")).expect("built");
    let damaged = [
        b"not WebAssembly".to_vec(),
        Vec::new(),
        // A core module.
        b"\0asm\x01\0\0\0".to_vec(),
        whole[..whole.len() / 2].to_vec(),
    ];
    for bytes in damaged {
        std::fs::write(&file, bytes).expect("delivered");
        let manifest = Manifest::default().set("component.send.tool.mpim.component", file.display().to_string());
        says(
            &refused_in(&folder, &manifest.text()),
            &["send: not a component that can be run"],
        );
    }
}

#[test]
fn a_component_of_more_modules_than_the_settings_allow_is_refused() {
    let folder = Folder::new();
    let file = folder.path().join("many.wasm");
    let made_of = |modules: usize| {
        let instances = "(core instance (instantiate $module))".repeat(modules);
        let text = format!("(component (core module $module) {instances})");
        std::fs::write(&file, wat::parse_str(text).expect("a component")).expect("delivered");
        Manifest::default()
            .set("component.many.source", file.display().to_string())
            .set("application.tool.mpim.sandboxes.core_instances_max", 12)
    };
    let said = refused_in(&folder, &made_of(13).text());
    says(
        &said,
        &["many: not a component that can be run", "13 core", "maximum of 12"],
    );
    assert_eq!(Node::with(&made_of(12)).stop(), Some(0));
}

#[test]
fn an_import_that_nobody_offers_is_named_with_what_is_offered() {
    let said = refused(&Manifest::default().function("lacking", "lacking", &[]));
    says(
        &said,
        &[
            "lacking",
            "test:absent/thing@0.1.0",
            "mpim:host/sql",
            "mpim:im/route@0.1.0",
            "mpim:im/notify",
        ],
    );
}

#[test]
fn a_function_that_another_one_needs_is_named_when_it_is_missing() {
    let manifest = Manifest::default()
        .without("component.contacts")
        .set("application.tool.mpim.gateway.opened", toml::value::Array::new());
    says(&refused(&manifest), &["presence", "mpim:im/relations@0.1.0"]);
}

#[test]
fn a_method_that_the_manifest_names_and_nobody_exports_is_named() {
    for (key, name) in [
        ("application.tool.mpim.gateway.verify", "login.verfy"),
        ("application.tool.mpim.gateway.login", "logon.login"),
        ("application.tool.mpim.gateway.delivered", "send.mark_sent"),
        ("application.tool.mpim.gateway.topics", "groups."),
    ] {
        says(&refused(&Manifest::default().set(key, name)), &[name]);
    }
    let opened = vec![toml::Value::from("route.register-conection")];
    let said = refused(&Manifest::default().set("application.tool.mpim.gateway.opened", opened));
    says(&said, &["route.register-conection"]);
}

#[test]
fn a_method_that_does_not_fit_its_purpose_is_named_with_the_reason() {
    for (key, name, reason) in [
        ("verify", "login.register", "a string"),
        ("delivered", "send.retry-pending", "list of u64"),
        ("topics", "login.verify", "connection"),
        ("sweep", "login.verify", "sweep"),
        ("login", "login.sessions", "token"),
    ] {
        let said = refused(&Manifest::default().set(&format!("application.tool.mpim.gateway.{key}"), name));
        says(&said, &[name, reason]);
    }
}

#[test]
fn a_timer_that_needs_arguments_is_refused() {
    let timer: toml::Table = "call = \"send.mark-sent\"\nevery_ms = 1000".parse().expect("a table");
    let said = refused(&Manifest::default().set("application.tool.mpim.timer", vec![toml::Value::from(timer)]));
    says(&said, &["send.mark-sent", "timer"]);
}

#[test]
fn an_interface_that_is_public_and_not_exported_is_named_with_what_is() {
    let manifest = Manifest::default().set("component.send.tool.mpim.public", vec!["mpim:im/sent".to_owned()]);
    says(&refused(&manifest), &["send", "mpim:im/sent", "mpim:im/send@0.1.0"]);
}

#[test]
fn two_functions_with_the_same_interface_are_both_named() {
    let manifest = Manifest::default()
        .function("echo", "echo", &["test:echo/echo"])
        .function("parrot", "echo", &["test:echo/echo"]);
    says(&refused(&manifest), &["test:echo/echo@0.1.0", "echo", "parrot"]);
}

#[test]
fn a_data_folder_is_used_by_one_node_at_a_time() {
    let node = Node::start();
    let said = refused_in(&node.folder, &Manifest::default().text());
    says(
        &said,
        &[
            "in use by another mpim",
            &node.folder.path().join("data").display().to_string(),
        ],
    );
    let folder = node.kill();
    // What was in use is free again when its user is gone, however it went.
    Node::in_folder(&Manifest::default(), folder);
}

#[test]
fn a_data_folder_that_is_a_file_is_named() {
    let folder = Folder::new();
    let (app, data) = (folder.path().join("spin.toml"), folder.path().join("data"));
    std::fs::write(&app, Manifest::default().text()).expect("delivered");
    std::fs::write(&data, "a file").expect("delivered");
    says(&refused_at("127.0.0.1:0", &data, &app), &[&data.display().to_string()]);
    says(&refused_at("127.0.0.1:0", &data.join("below"), &app), &["data/below"]);
    assert_eq!(std::fs::read_to_string(&data).expect("still there"), "a file");
}

#[test]
fn a_database_file_with_something_else_in_it_is_named_and_left_alone() {
    let garbage: Vec<u8> = (0..20_000_u32)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    let folder = Folder::new();
    share_compiled(folder.path());
    std::fs::write(database(&folder), &garbage).expect("delivered");
    let said = refused_in(&folder, &Manifest::default().text());
    says(&said, &["mpim.sqlite", "not a database"]);
    assert_eq!(std::fs::read(database(&folder)).expect("still there"), garbage);
}

#[test]
fn a_database_that_is_damaged_in_the_middle_is_named() {
    let folder = used();
    let mut bytes = std::fs::read(database(&folder)).expect("read");
    // The header stays; the table of tables begins behind it.
    bytes[100..4_096].fill(0xa5);
    std::fs::write(database(&folder), bytes).expect("delivered");
    says(
        &refused_in(&folder, &Manifest::default().text()),
        &["mpim.sqlite", "damaged"],
    );
}

#[test]
fn a_database_from_the_future_is_refused() {
    let folder = used();
    let connection = Connection::open(database(&folder)).expect("opened");
    let future = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                  VALUES (9999, 'later', '2099-01-01T00:00:00Z', '1')";
    connection.execute(future, []).expect("delivered");
    drop(connection);
    says(
        &refused_in(&folder, &Manifest::default().text()),
        &["mpim.sqlite", "9999"],
    );
}

#[test]
fn a_database_that_another_migration_made_is_refused() {
    let folder = used();
    let connection = Connection::open(database(&folder)).expect("opened");
    connection
        .execute("UPDATE refinery_schema_history SET checksum = '1'", [])
        .expect("delivered");
    drop(connection);
    says(
        &refused_in(&folder, &Manifest::default().text()),
        &["mpim.sqlite", "chat"],
    );
}

#[test]
fn a_database_that_another_process_has_locked_is_named() {
    let folder = used();
    let connection = Connection::open(database(&folder)).expect("opened");
    connection
        .pragma_update(None, "locking_mode", "exclusive")
        .expect("set");
    connection
        .execute_batch("BEGIN EXCLUSIVE; DELETE FROM users; COMMIT")
        .expect("locked");
    let manifest = Manifest::default().set("application.tool.mpim.sqlite.busy_timeout_ms", 50);
    says(
        &refused_in(&folder, &manifest.text()),
        &["mpim.sqlite", "locked by another process"],
    );
    drop(connection);
    Node::in_folder(&manifest, folder);
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    for arguments in [
        &["up", "--lisen", "127.0.0.1:0"][..],
        &["up", "--listen", "nowhere"],
        &["up", "--listen", "127.0.0.1:70000"],
        &["down"],
        &[],
    ] {
        let output = mpim().args(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_batch_method_that_does_not_fit_is_refused() {
    let pair = |one: &str, many: &str| {
        let pairs = toml::Table::from_iter([(one.to_owned(), many.into())]);
        Manifest::default().set("application.tool.mpim.batch.methods", pairs)
    };
    let misfits = [
        ("send.send-message", "send.status", "no caller of its own"),
        ("send.send-message", "send.batch-ack", "a list of records"),
        (
            "send.send-group-message",
            "send.batch-send-message",
            "a list of records",
        ),
        ("login.login", "send.batch-send-message", "of the same function"),
        (
            "presence.get-status",
            "presence.batch-get-status",
            "no caller of its own",
        ),
        ("send.send-message", "send.nothing", "nothing"),
    ];
    for (one, many, reason) in misfits {
        says(&refused(&pair(one, many)), &["calls in batches", reason]);
    }
    let open = Manifest::default().set(
        "component.send.tool.mpim.public",
        vec!["mpim:im/send", "mpim:im/delivery"],
    );
    says(&refused(&open), &["calls in batches", "it must not be public"]);
}
