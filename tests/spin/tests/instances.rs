//! The life of instances, and HTTP in front of them.

use serde_json::json;
use servers::redis::Redis;

use crate::stand::{Stand, probe};

/// What an instance answers to its first request.
const FIRST: &str = "1 1";

#[test]
fn an_instance_has_sixteen_requests_at_a_time() {
    let server = Redis::start();
    let stand = Stand::start_with(&probe(&["redis://127.0.0.1:*"]), &["--idle-instance-timeout", "60s"]);
    let count = || stand.last(&json!([{ "count": null }]));
    assert_eq!(count(), FIRST);
    let wait = json!([{ "open_redis": server.url() }, { "redis": [0, "BLPOP", ["list", 0]] }, { "count": null }]);
    let waiting: Vec<_> = (1..=16)
        .map(|number| {
            let begun = stand.begin("/probe/run", "", &wait.to_string());
            server.wait_for(&["INFO", "clients"], &[&format!("blocked_clients:{number}\r\n")]);
            begun
        })
        .collect();
    // The first instance is full.
    assert_eq!(count(), FIRST);
    for _ in &waiting {
        server.ask(&["LPUSH", "list", "x"]).expect("a push");
    }
    for begun in waiting {
        let given: Vec<String> = serde_json::from_str(&begun.end().body).expect("texts");
        assert!(given[2].starts_with("17 "), "{given:?}");
    }
}

#[test]
fn an_instance_has_128_requests_in_all() {
    let stand = Stand::start_with(&probe(&[]), &["--idle-instance-timeout", "60s"]);
    let count = || stand.last(&json!([{ "count": null }]));
    for number in 1..=128 {
        assert_eq!(count(), format!("{number} 1"));
    }
    assert_eq!(count(), FIRST);
}

#[test]
fn an_instance_without_requests_ends() {
    let stand = Stand::start_with(&probe(&[]), &["--idle-instance-timeout", "0s"]);
    let count = || stand.last(&json!([{ "count": null }]));
    assert_eq!(count(), FIRST);
    // It has no time at all; only a request that comes as the one before ends may meet it again.
    assert!((0..100).any(|_| count() == FIRST));
}

#[test]
fn a_trap_ends_the_instance_and_not_the_server() {
    let stand = Stand::start(&[]);
    let response = stand.post("/probe/run", "", "[\"trap\"]");
    assert_eq!((response.status, response.body.as_str()), (500, ""));
    assert_eq!(stand.last(&json!([{ "count": null }])), FIRST);
}

#[test]
fn an_answer_is_chunked_unless_the_component_says_how_long_it_is() {
    let stand = Stand::start(&[]);
    let answer = stand.post("/probe/run", "", "[]");
    assert!(answer.head.contains("transfer-encoding: chunked"), "{}", answer.head);
    assert_eq!(answer.body, "[]");
    let answer = stand.post("/probe/run", "x-length: yes\r\n", "[]");
    assert!(answer.head.contains("content-length: 2"), "{}", answer.head);
    assert!(!answer.head.contains("chunked"), "{}", answer.head);
}

#[test]
fn a_request_brings_headers_that_tell_its_route() {
    let stand = Stand::start(&[]);
    let names = [
        "spin-path-info",
        "spin-component-route",
        "spin-full-url",
        "x-own",
        "connection",
    ];
    let steps: Vec<_> = names.map(|name| json!({ "header": name })).into();
    let answer = stand.post("/probe/a/b?c=d", "x-own: yes\r\n", &json!(steps).to_string());
    let given: Vec<String> = serde_json::from_str(&answer.body).expect("texts");
    assert_eq!(given[0], "Some(\"/a/b\")");
    assert_eq!(given[1], "Some(\"/probe\")");
    assert!(given[2].ends_with("/probe/a/b?c=d\")"), "{}", given[2]);
    assert_eq!(given[3..], ["Some(\"yes\")", "None"]);
}

#[test]
fn a_path_without_a_route_is_not_found() {
    let stand = Stand::start(&[]);
    let answer = stand.post("/other", "", "[]");
    assert_eq!((answer.status, answer.body.as_str()), (404, ""));
    assert_eq!(stand.post("/.well-known/spin/health", "", "").body, "OK");
}

#[test]
fn a_component_reaches_no_server_of_http() {
    let stand = Stand::start(&[]);
    let given = stand.last(&json!([{ "fetch": "http://127.0.0.1:1/" }]));
    assert!(given.contains("HttpRequestDenied"), "{given}");
}
