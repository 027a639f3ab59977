//! Pods that run the `mpim` binary: what they may, what they are told on the command line and in the environment, and for
//! how long they are waited for.

use serde_json::Value;

use crate::documents::{Document, all, file, table, texts};
use crate::image;

/// Where the binary keeps its files, in whatever runs it.
const DATA: &str = "/var/lib/mpim";

/// Every document that makes pods, with its pod and the container in it.
fn containers(documents: &[Document]) -> Vec<(&Document, &Value, &Value)> {
    let pods = documents
        .iter()
        .filter_map(|document| Some((document, document.pod()?)));
    pods.map(|(document, pod)| (document, pod, &pod["containers"][0]))
        .collect()
}

/// A number of a line of the host's settings, such as `drain_within_ms: 5_000,`.
pub(crate) fn default_of(setting: &str) -> u64 {
    let settings =
        ["gateway", "cluster", "function", "remote", "sandbox"].map(|part| file(&format!("host/config/src/{part}.rs")));
    let settings = settings.join("\n");
    let prefix = format!("{setting}: ");
    let mut values = settings.lines().filter_map(|line| {
        let value = line
            .trim()
            .strip_prefix(&prefix)?
            .trim_end_matches(',')
            .replace('_', "");
        value.parse().ok()
    });
    values.next().unwrap_or_else(|| panic!("{setting} has no default"))
}

/// Fails for a command line that the binary would not take. Flags are those of the fields that clap reads them from.
pub(crate) fn check_command_line(file_name: &str, arguments: &[&str]) {
    let source = match arguments.first() {
        Some(&("up" | "migrate")) => "host/cli/src/up.rs",
        Some(&"call") => "host/cli/src/call.rs",
        other => panic!("{file_name}: {other:?} is no command that is used here"),
    };
    let source = file(source);
    for flag in arguments.iter().filter_map(|argument| argument.strip_prefix("--")) {
        let field = format!("{}: ", flag.replace('-', "_"));
        let mut lines = source.lines();
        let known = lines.any(|line| line.trim().trim_start_matches("pub(crate) ").starts_with(&field));
        assert!(known, "{file_name}: --{flag} is no flag of {}", arguments[0]);
    }
}

/// Fails for a variable of the environment that the binary does not read.
pub(crate) fn check_variable(file_name: &str, name: &str) {
    let read = [
        "host/cli/src/up.rs",
        "host/cli/src/call.rs",
        "host/telemetry/src/lib.rs",
    ];
    let mut sources = read.into_iter().map(file);
    let quoted = format!("\"{name}\"");
    assert!(
        sources.any(|source| source.contains(&quoted)),
        "{file_name}: nothing reads {name}"
    );
}

/// The value of a flag.
pub(crate) fn flag<'a>(arguments: &[&'a str], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| *argument == name)?;
    arguments.get(at + 1).copied()
}

#[test]
fn no_pod_may_more_than_it_needs() {
    let documents = all();
    let containers = containers(&documents);
    assert_eq!(containers.len(), 4);
    for (document, pod, container) in containers {
        let file = &document.file;
        assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1), "{file}");
        let (user, group) = image::user();
        let of_pod = &pod["securityContext"];
        assert_eq!(of_pod["runAsNonRoot"], true, "{file}");
        assert_eq!(of_pod["runAsUser"], user, "{file}");
        assert_eq!(of_pod["runAsGroup"], group, "{file}");
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault", "{file}");
        let of_container = &container["securityContext"];
        assert_eq!(of_container["allowPrivilegeEscalation"], false, "{file}");
        assert_eq!(of_container["readOnlyRootFilesystem"], true, "{file}");
        assert_eq!(texts(&of_container["capabilities"]["drop"]), ["ALL"], "{file}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{file}");
        // Its variables would begin with MPIM_, as those do that the binary reads.
        assert_eq!(pod["enableServiceLinks"], false, "{file}");
        assert!(container["resources"]["requests"]["cpu"].is_string(), "{file}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{file}");
    }
}

#[test]
fn a_pod_says_what_the_binary_understands() {
    let documents = all();
    for (document, _, container) in containers(&documents) {
        let arguments = texts(&container["args"]);
        check_command_line(&document.file, &arguments);
        for variable in container["env"].as_array().expect("variables") {
            let name = variable["name"].as_str().expect("a name");
            if arguments.contains(&format!("$({name})").as_str()) {
                continue;
            }
            check_variable(&document.file, name);
        }
    }
    let maps = documents.iter().filter(|document| document.kind() == "ConfigMap");
    for map in maps {
        for name in map.at("/data").as_object().expect("variables").keys() {
            check_variable(&map.file, name);
        }
    }
}

#[test]
fn a_pod_keeps_its_files_on_a_volume() {
    let documents = all();
    for (document, _, container) in containers(&documents) {
        let arguments = texts(&container["args"]);
        if arguments[0] == "call" {
            continue;
        }
        assert_eq!(flag(&arguments, "--data"), Some(DATA), "{}", document.file);
        assert_eq!(container["volumeMounts"][0]["mountPath"], DATA, "{}", document.file);
    }
}

#[test]
fn a_node_listens_where_its_container_says() {
    let documents = all();
    let node = documents
        .iter()
        .find(|document| document.kind() == "Deployment")
        .expect("nodes");
    let container = node.at("/spec/template/spec/containers/0");
    let listen = flag(&texts(&container["args"]), "--listen")
        .expect("an address")
        .to_owned();
    assert_eq!(listen, format!("0.0.0.0:{}", container["ports"][0]["containerPort"]));
    assert!(image::ports().contains(&listen.trim_start_matches("0.0.0.0:").to_owned()));
}

#[test]
fn a_node_is_asked_how_it_is_where_it_answers() {
    let served = file("host/gateway/src/http.rs");
    let documents = all();
    let node = documents
        .iter()
        .find(|document| document.kind() == "Deployment")
        .expect("nodes");
    let probes = node.under("httpGet");
    assert_eq!(probes.len(), 3);
    for probe in probes {
        let path = probe["path"].as_str().expect("a path");
        assert!(served.contains(&format!(".route(\"{path}\", get(")), "{path}");
    }
}

#[test]
fn a_node_is_not_killed_while_it_stops_in_order() {
    let documents = all();
    let node = documents
        .iter()
        .find(|document| document.kind() == "Deployment")
        .expect("nodes");
    let pause = node.under("preStop")[0]["sleep"]["seconds"].as_u64().expect("a pause");
    let grace = node.under("terminationGracePeriodSeconds")[0].as_u64().expect("a time");
    assert!(grace > pause + stop_seconds());
}

/// How long a node takes to stop at the most: draining, and a last call of each timer.
pub(crate) fn stop_seconds() -> u64 {
    let manifest = table("spin.toml");
    let timers = manifest["application"]["tool"]["mpim"]["timer"]
        .as_array()
        .expect("timers");
    let source = file("host/node/src/timers.rs");
    let last = source.lines().find_map(|line| {
        let seconds = line.strip_prefix("const LAST_CALL: Duration = Duration::from_secs(")?;
        seconds.trim_end_matches(");").parse::<u64>().ok()
    });
    default_of("drain_within_ms") / 1_000 + last.expect("how long a last call may take") * timers.len() as u64
}
