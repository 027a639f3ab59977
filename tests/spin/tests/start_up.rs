//! What starts, what does not, and what is said about it.

use std::path::Path;

use spin_stand_in::manifest::Manifest;

use crate::stand::{Stand, fixture, probe, refusal};

#[test]
fn a_signal_ends_it_in_order() {
    for signal in ["INT", "TERM"] {
        let mut stand = Stand::start(&[]);
        assert_eq!(stand.end(signal), Some(0), "{signal}");
    }
}

#[test]
fn an_import_that_spin_does_not_offer_is_named() {
    let manifest = probe(&[]).replace("spin-probe", "echo");
    let echo = refusal(&manifest, &[]);
    assert!(echo.contains("wasi:http/handler"), "{echo}");
    let manifest = probe(&[]).replace("spin-probe", "lacking");
    let lacking = refusal(&manifest, &[]);
    assert!(lacking.contains("component `probe`"), "{lacking}");
    assert!(lacking.contains("`test:absent/"), "{lacking}");
}

#[test]
fn a_variable_that_must_be_given_is_missed_at_the_start() {
    let manifest = probe(&[]).replace("default = \"default\"", "required = true");
    let said = refusal(&manifest, &[]);
    assert!(
        said.contains("no provider resolved required variable(s): word"),
        "{said}"
    );
}

#[test]
fn what_spin_refuses_in_a_manifest_is_refused() {
    let good = probe(&["redis://127.0.0.1:*"]);
    let parse = |text: &str| Manifest::parse(text, Path::new("/"));
    assert!(parse(&good).is_ok());
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let cases = [
        (
            with("spin_manifest_version = 2", "spin_manifest_version = 1"),
            "invalid manifest version: 1",
        ),
        (
            with("name = \"probe\"", "name = \"probe\"\ncolour = 1"),
            "unknown field `colour`",
        ),
        (with("secret = true", "secrets = true"), "unknown field `secrets`"),
        (
            with("secret = true", "required = true"),
            "variable \"word\" must be `required` or have a `default`",
        ),
        (
            with("component = \"probe\"", "component = \"other\""),
            "the component `other`, which is not there",
        ),
        (with("route = ", "path = \"/\"\nroute = "), "unknown field `path`"),
        (with("route = \"/probe/...\"\n", ""), "missing field `route`"),
        (with("[[trigger.http]]", "[[trigger.redis]]"), "no triggers of `redis`"),
        (
            with("[component.probe]", "[component.a_probe]"),
            "must be separated by '-', not by '_'",
        ),
        (with("spin-probe.wasm", "no-such.wasm"), "no Wasm source at"),
        (
            with("redis://127.0.0.1:*", "127.0.0.1"),
            "`allowed_outbound_hosts` is malformed",
        ),
        (with("{{ word }}", "{{ words }}"), "unknown variable \"words\""),
        (with("{{ word }}", "{{ word }"), "unmatched '{{' in template"),
        (with("said = ", "said-so = "), "must be separated by '_', not by '-'"),
        (with("environment = ", "environs = "), "unknown field `environs`"),
        (
            with("environment = ", "files = [\"*\"]\nenvironment = "),
            "this stand-in has no `files`",
        ),
    ];
    for (text, reason) in cases {
        let error = format!("{:#}", parse(&text).expect_err(reason));
        assert!(error.contains(reason), "{error} is not {reason}");
    }
}

#[test]
fn what_belongs_to_tools_is_not_looked_at() {
    let tools = "[application.tool.mpim]\nanything = 1\n[component.probe.tool.other.deep]\nanything = [1]\n";
    let manifest = format!("{}{tools}", probe(&[]));
    let manifest = Manifest::parse(&manifest, Path::new("/")).expect("a manifest");
    assert_eq!(manifest.components["probe"].source, fixture("spin-probe"));
}

#[test]
fn the_manifest_of_the_project_is_one_that_spin_takes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let manifest =
        Manifest::read(&root.join("spin.toml")).expect("a manifest: `cargo xtask spin` makes its components");
    let routes: Vec<_> = manifest.routes.list().collect();
    for name in manifest.components.keys() {
        let path = format!("/v1/{name}/...");
        assert!(
            routes
                .iter()
                .any(|(route, component)| *route == path && component == name),
            "{name} is at {path}"
        );
    }
    assert_eq!(routes.len(), manifest.components.len());
}
