//! `spin:variables`, and the environment of WASI.

use serde_json::json;

use crate::stand::{Stand, probe};

#[test]
fn a_component_gets_its_own_variables_and_no_others() {
    let stand = Stand::start_with(&probe(&[]), &["--variable", "word=given"]);
    let given = stand.run(&json!([
        { "variable": "said" },
        { "variable": "word" },
        { "variable": "Said" },
        { "environment": "COLOUR" },
        { "environment": "PATH" },
    ]));
    assert_eq!(given[0], "\"<given>\"");
    assert_eq!(
        given[1],
        "Error::Undefined(\"no variable for \\\"probe\\\".\\\"word\\\"\")"
    );
    assert!(
        given[2].starts_with("Error::InvalidName(\"\\\"Said\\\": invalid character 'S'."),
        "{}",
        given[2]
    );
    assert_eq!(given[3..], ["Ok(\"green\")", "Err(NotPresent)"]);
}

#[test]
fn the_environment_of_the_process_gives_values_where_the_command_line_does_not() {
    let manifest = probe(&[]).replace("{{ word }}", "{{ empty }}");
    let stand = Stand::start_with(&manifest, &[]);
    assert_eq!(
        stand.last(&json!([{ "variable": "said" }])),
        "\"<from the environment>\""
    );
}

#[test]
fn a_host_may_come_from_a_variable() {
    let manifest = probe(&["redis://{{ word }}"]);
    let stand = Stand::start_with(&manifest, &["--variable", "word=127.0.0.1:1"]);
    let given = stand.run(&json!([{ "open_redis": "redis://127.0.0.1:1" }, { "open_redis": "redis://127.0.0.1:2" }]));
    assert!(given[0].starts_with("Error::Other("), "{}", given[0]);
    assert_eq!(given[1], "Error::InvalidAddress");
    // What no host can be made of is an error when it is used, not before.
    let stand = Stand::start_with(&manifest, &["--variable", "word=127.0.0.1:port"]);
    let given = stand.last(&json!([{ "open_redis": "redis://127.0.0.1:1" }]));
    assert!(given.starts_with("Error::Other(\""), "{given}");
}
