//! The unit of systemd, and its environment.

use crate::documents::file;
use crate::nodes::{check_command_line, check_variable, default_of, flag, stop_seconds};

const UNIT: &str = "host/deploy/systemd/mpim.service";

/// The value of a setting of the unit, if it is there; the settings of all sections have different names.
fn setting(name: &str) -> Option<String> {
    let text = file(UNIT);
    let mut values = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| *key == name);
    let value = values.next().map(|(_, value)| value.to_owned());
    assert!(values.next().is_none(), "{name} is set twice");
    value
}

fn number(name: &str) -> u64 {
    setting(name)
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("no number for {name}"))
}

#[test]
fn it_starts_the_binary_as_the_binary_wants_it() {
    let start = setting("ExecStart").expect("a command");
    let words: Vec<&str> = start.split(' ').collect();
    check_command_line(UNIT, &words[1..]);
    // The folder that systemd makes for it.
    let state = setting("StateDirectory").expect("a folder");
    assert_eq!(flag(&words, "--data"), Some(format!("%S/{state}").as_str()));
}

#[test]
fn it_does_not_start_without_its_environment() {
    let path = setting("EnvironmentFile").expect("a file");
    assert!(
        path.starts_with('/'),
        "{path} may be missing, and then a node of a cluster starts embedded"
    );
    let name = path.rsplit('/').next().expect("a name");
    for line in file(&format!("host/deploy/systemd/{name}")).lines() {
        // What is commented out is meant to be used, too.
        let Some((variable, _)) = line.trim_start_matches('#').split_once('=') else {
            continue;
        };
        check_variable(name, variable);
    }
}

#[test]
fn it_lets_components_be_compiled() {
    // Either would end a node at its start: code has to be made executable, and sandboxes reserve addresses.
    assert_eq!(setting("MemoryDenyWriteExecute"), None);
    assert_eq!(setting("LimitAS"), None);
}

#[test]
fn it_lets_a_node_stop_in_order_and_comes_back_whatever_happened() {
    assert!(number("TimeoutStopSec") > stop_seconds());
    assert_eq!(setting("Restart").as_deref(), Some("on-failure"));
    assert_eq!(number("StartLimitIntervalSec"), 0);
}

#[test]
fn it_has_a_file_for_every_socket() {
    assert!(number("LimitNOFILE") > default_of("connections_max"));
}

#[test]
fn it_may_write_to_its_folder_alone() {
    for (name, value) in [
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("SystemCallFilter", "@system-service"),
    ] {
        assert_eq!(setting(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(setting("ReadWritePaths"), None);
}
