//! `spin:redis`.

use serde_json::json;
use servers::redis::Redis;

use crate::stand::Stand;

/// A script that answers with a list in a list, and whatever else Redis has.
const TREE: &str = "return {1, {'two', {}, {3, false}}, {ok = 'FINE'}}";

#[test]
fn an_answer_is_flattened_without_a_trace_of_its_lists() {
    let server = Redis::start();
    let stand = Stand::start(&["redis://127.0.0.1:*"]);
    let given = stand.run(&json!([
        { "open_redis": server.url() },
        { "redis": [0, "SET", ["key", 7]] },
        { "redis": [0, "GET", ["key"]] },
        { "redis": [0, "GET", ["missing"]] },
        { "redis": [0, "INCR", ["key"]] },
        { "redis": [0, "EVAL", [TREE, 0]] },
        { "redis": [0, "KEYS", ["none*"]] },
        { "get": [0, "key"] },
    ]));
    assert_eq!(
        given[1..],
        [
            "[RedisResult::Status(\"OK\")]",
            "[RedisResult::Binary([55])]",
            "[RedisResult::Nil]",
            "[RedisResult::Int64(8)]",
            "[RedisResult::Int64(1), RedisResult::Binary([116, 119, 111]), RedisResult::Int64(3), RedisResult::Nil, \
             RedisResult::Status(\"FINE\")]",
            "[]",
            "Some([56])",
        ]
    );
}

#[test]
fn errors_of_the_server_are_other_errors_with_its_words() {
    let server = Redis::start();
    let stand = Stand::start(&["redis://127.0.0.1:*"]);
    let given = stand.run(&json!([
        { "open_redis": server.url() },
        { "redis": [0, "NOSUCH", []] },
        { "redis": [0, "SET", ["text", "x"]] },
        { "redis": [0, "LPUSH", ["text", "y"]] },
        { "sadd": [0, "text", ["y"]] },
        { "redis": [0, "EVALSHA", ["none", 0]] },
        { "redis": [0, "EVAL", ["return {1, {redis.error_reply('ERR within')}}", 0]] },
    ]));
    assert!(
        given[1].starts_with(
            "Error::Other(\"An error was signalled by the server - ResponseError: unknown command 'NOSUCH'"
        ),
        "{}",
        given[1]
    );
    let wrong = "Error::Other(\"WRONGTYPE: Operation against a key holding the wrong kind of value\")";
    assert_eq!(given[3], wrong);
    assert_eq!(given[4], wrong);
    assert_eq!(
        given[5],
        "Error::Other(\"An error was signalled by the server - NoScriptError: No matching script. Please use EVAL.\")"
    );
    assert_eq!(
        given[6],
        "Error::Other(\"An error was signalled by the server - ResponseError: within\")"
    );
}

#[test]
fn a_map_of_the_third_protocol_is_an_error() {
    let server = Redis::start();
    let stand = Stand::start(&["redis://127.0.0.1:*"]);
    let given = stand.run(&json!([
        { "open_redis": format!("{}/?protocol=resp3", server.url()) },
        { "redis": [0, "HSET", ["hash", "field", "value"]] },
        { "redis": [0, "HGETALL", ["hash"]] },
        { "redis": [0, "HKEYS", ["hash"]] },
    ]));
    assert_eq!(
        given[2],
        "Error::Other(\"Could not convert Redis response - TypeError: Redis Map type is not supported\")"
    );
    assert_eq!(given[3], "[RedisResult::Binary([102, 105, 101, 108, 100])]");
}

#[test]
fn each_open_is_one_connection_which_ends_with_its_handle() {
    let server = Redis::start();
    let stand = Stand::start(&["redis://127.0.0.1:*"]);
    let url = server.url();
    let given = stand.run(&json!([
        { "open_redis": url },
        { "redis": [0, "CLIENT", ["ID"]] },
        { "at_once": [{ "redis": [0, "CLIENT", ["ID"]] }, { "redis": [0, "CLIENT", ["ID"]] }] },
        { "open_redis": url },
        { "redis": [1, "CLIENT", ["ID"]] },
        { "close_redis": 1 },
        { "redis": [1, "PING", []] },
        { "redis": [0, "PING", []] },
    ]));
    assert_eq!(given[2], format!("{}\n{}", given[1], given[1]));
    assert_ne!(given[4], given[1]);
    assert_eq!(given[6], "no such connection");
    assert_eq!(given[7], "[RedisResult::Status(\"PONG\")]");
    // The request has ended, and with it the connection that it did not close.
    server.wait_for(&["INFO", "clients"], &["connected_clients:1\r\n"]);
}

#[test]
fn an_address_that_is_not_allowed_is_invalid() {
    let server = Redis::start();
    let stand = Stand::start(&["redis://127.0.0.1:1"]);
    let given = stand.run(&json!([
        { "open_redis": server.url() },
        { "open_redis": "no address" },
        { "open_redis": "redis://127.0.0.1:1" },
    ]));
    assert_eq!(given[..2], ["Error::InvalidAddress", "Error::InvalidAddress"]);
    assert!(
        given[2].starts_with("Error::Other(\"Connection refused"),
        "{}",
        given[2]
    );
}

#[test]
fn a_connection_whose_server_is_gone_stays_broken() {
    let mut server = Redis::start();
    let stand = Stand::start(&["redis://127.0.0.1:*"]);
    let waiting = stand.begin(
        "/probe/run",
        "",
        &json!([
            { "open_redis": server.url() },
            { "redis": [0, "BLPOP", ["list", 0]] },
            { "redis": [0, "PING", []] },
        ])
        .to_string(),
    );
    server.wait_for(&["INFO", "clients"], &["blocked_clients:1\r\n"]);
    server.restart();
    let given: Vec<String> = serde_json::from_str(&waiting.end().body).expect("texts");
    assert!(given[1].starts_with("Error::Other("), "{}", given[1]);
    assert_eq!(given[2], "Error::Other(\"broken pipe\")");
}

#[test]
fn tls_has_a_scheme_of_its_own_which_must_be_allowed_by_its_name() {
    let steps = json!([{ "open_redis": "rediss://127.0.0.1:1" }]);
    let stand = Stand::start(&["redis://127.0.0.1:*"]);
    assert_eq!(stand.run(&steps), ["Error::InvalidAddress"]);
    let stand = Stand::start(&["redis://127.0.0.1:*", "rediss://*:*"]);
    assert_eq!(stand.run(&steps), ["Error::Other(\"this stand-in has no TLS\")"]);
}
