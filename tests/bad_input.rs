//! What clients get wrong, over both edges: each is told what, by a code that stays the same, and nobody else
//! notices.

mod frames;
mod fuzz;
mod others;
mod requests;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::functions::everything;
use crate::harness::client::PASSWORD;
use crate::harness::{Client, Manifest, Node, RpcError, http};

fn with_echo() -> Node {
    Node::with(&Manifest::default().function("echo", "echo", &["test:echo/echo"]))
}

/// Makes a call that fails, over both edges, with parameters that are text and need not be JSON. Gives the error.
async fn refused(node: &Node, client: &mut Client, method: &str, params: &str) -> RpcError {
    let frame = format!(r#"{{"jsonrpc":"2.0","id":"it","method":"{method}","params":{params}}}"#);
    let answer = client.raw(Message::text(frame)).await.expect("the connection goes on");
    let error = answer
        .get("error")
        .unwrap_or_else(|| panic!("{method} took {params}: {answer}"));
    let (function, name) = method.split_once('.').expect("a function and a method");
    let problem = http::call(node, function, name, params.to_owned(), Some(&client.token)).await;
    assert_eq!(problem.content_type, "application/problem+json", "{method} {params}");
    let problem = problem.json();
    assert_eq!(
        (&problem["code"], &problem["retryable"]),
        (&error["data"]["code"], &error["data"]["retryable"]),
        "{method} {params}"
    );
    RpcError {
        number: error["code"].as_i64().expect("a number"),
        code: error["data"]["code"].as_str().expect("a code").to_owned(),
        message: error["message"].as_str().expect("a message").to_owned(),
        retryable: error["data"]["retryable"].as_bool().expect("a flag"),
    }
}

/// Values that a field of `everything` does not take, as JSON text.
const WRONG: &[(&str, &[&str])] = &[
    ("text", &["1", "null", "[]", "{}", "true"]),
    ("mood", &[r#""CALM""#, r#""very-loud""#, r#""""#, "0", "null"]),
    (
        "marks",
        &[r#""bold""#, r#"["bold","bald"]"#, r#"{"bold":true}"#, "[1]", "[null]"],
    ),
    (
        "shape",
        &[
            r#""circle""#,
            r#"{"point":1}"#,
            r#"{"circle":"1"}"#,
            r#"{"circle":1,"named":"x"}"#,
            "{}",
            r#""square""#,
            r#"{"between":[1]}"#,
            r#"{"between":[1,2,3]}"#,
            r#"{"between":[1,2147483648]}"#,
            "[]",
        ],
    ),
    ("bytes", &[r#""*""#, r#""AQ""#, "[1,2]", r#""AAH/\n""#]),
    ("ids", &[r#""1""#, r#"["-1"]"#, "[1.5]", "[null]", r#"{"0":1}"#]),
    (
        "largest",
        &[
            "-1",
            r#""18446744073709551616""#,
            "18446744073709551616",
            "1.5",
            "1.0",
            "1e3",
            r#""1.0""#,
            r#""0x10""#,
            r#"" 1""#,
            r#""+1""#,
            r#""""#,
            r#""-""#,
            r#""９""#,
            r#""000000000000000000001""#,
            "true",
            "null",
        ],
    ),
    (
        "least",
        &[
            r#""9223372036854775808""#,
            "9223372036854775808",
            r#""-9223372036854775809""#,
            "1e3",
        ],
    ),
    ("small_unsigned", &["256", "-1", "1.5", r#""1""#, "null"]),
    ("small_signed", &["128", "-129"]),
    ("short_unsigned", &["65536", "-1"]),
    ("short_signed", &["32768", "-32769"]),
    (
        "word_unsigned",
        &["-1", "4294967296", "8589934592", "1.5", r#""1""#, "1e400"],
    ),
    ("word_signed", &["2147483648", "-2147483649"]),
    ("letter", &[r#""""#, r#""ab""#, "1", r#""\ud800""#]),
    ("ratio", &[r#""1""#, "null", "true", "1e400", "NaN", "Infinity"]),
    ("single_ratio", &["1e39", "-1e39", r#""1""#]),
    ("truth", &["1", r#""true""#, "null"]),
    ("maybe", &["-1", r#""1""#, "[]"]),
    (
        "pair",
        &[r#"["a"]"#, r#"["a",1,2]"#, r#"{"0":"a","1":1}"#, r#"[1,"a"]"#],
    ),
    (
        "outcome",
        &[
            r#"{"ok":-1}"#,
            r#"{"maybe":1}"#,
            r#""ok""#,
            r#"{"ok":1,"err":"x"}"#,
            "null",
        ],
    ),
];

#[tokio::test]
async fn a_value_that_does_not_fit_its_type_is_refused_with_its_place() {
    let node = with_echo();
    let mut ann = Client::register(&node, "ann").await;
    for (field, values) in WRONG {
        for value in *values {
            let mut thing = everything();
            thing[field] = json!("HERE");
            let params = json!({ "thing": thing }).to_string().replace("\"HERE\"", value);
            let error = refused(&node, &mut ann, "echo.shout", &params).await;
            let is_json = serde_json::from_str::<Value>(value).is_ok();
            let code = if is_json { "invalid" } else { "parse_error" };
            assert_eq!((error.code.as_str(), error.retryable), (code, false), "{field} {value}");
            let place = format!("params.thing.{field}");
            assert!(
                !is_json || error.message.starts_with(&place),
                "{field} {value}: {}",
                error.message
            );
        }
    }
    let whole = json!({ "thing": everything() });
    ann.call("echo.shout", whole).await.expect("what is right goes through");
}

#[tokio::test]
async fn every_field_is_needed_and_no_other_is_taken() {
    let node = with_echo();
    let mut ann = Client::register(&node, "ann").await;
    for field in everything()
        .as_object()
        .expect("an object")
        .keys()
        .filter(|field| *field != "maybe")
    {
        let mut thing = everything();
        thing.as_object_mut().expect("an object").remove(field);
        let error = refused(&node, &mut ann, "echo.shout", &json!({ "thing": thing }).to_string()).await;
        assert_eq!(error.code, "invalid");
        assert!(
            error.message.contains(&format!("`{field}` is missing")),
            "{}",
            error.message
        );
    }
    let mut thing = everything();
    thing["more"] = json!(1);
    for params in [
        json!({ "thing": thing }),
        json!({ "thing": everything(), "more": 1 }),
        json!({ "Thing": everything() }),
        json!({}),
        json!({ "thing": null }),
        json!({ "thing": [] }),
        json!([everything()]),
        json!("thing"),
        json!(1),
        json!(true),
    ] {
        let error = refused(&node, &mut ann, "echo.shout", &params.to_string()).await;
        assert_eq!(error.code, "invalid", "{params}");
    }
}

#[tokio::test]
async fn an_error_says_back_only_a_little_of_the_input() {
    let node = with_echo();
    let mut ann = Client::register(&node, "ann").await;
    let long = "k".repeat(20_000);
    for (method, params) in [
        ("echo.shout", json!({ &*long: 1 })),
        ("echo.stumble", json!({ "how": long })),
        ("echo.shout", json!({ "thing": { &*long: 1 } })),
    ] {
        let error = refused(&node, &mut ann, method, &params.to_string()).await;
        assert!(error.message.len() < 400, "{} bytes", error.message.len());
    }
    let error = ann.call(&format!("echo.{long}"), json!({})).await.expect_err("unknown");
    assert!(error.code == "unknown_method" && error.message.len() < 400);
    let error = ann.call(&long, json!({})).await.expect_err("unknown");
    assert!(error.code == "unknown_method" && error.message.len() < 400);
}

#[tokio::test]
async fn json_that_is_too_deep_is_refused() {
    let node = with_echo();
    let mut ann = Client::register(&node, "ann").await;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for depth in [200, 5_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let error = refused(&node, &mut ann, "echo.shout", &deep).await;
            assert_eq!(error.code, "parse_error");
            let answer = ann.raw(Message::text(deep)).await.expect("answered");
            // An array is a batch, here of one request.
            let answer = answer.get(0).unwrap_or(&answer);
            let code = answer["error"]["data"]["code"].as_str().expect("a code");
            assert!(["parse_error", "invalid_request"].contains(&code), "{code}");
        }
    }
}

#[tokio::test]
async fn what_a_message_may_be_is_bounded() {
    let node = Node::start();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let to = bob.user.clone();
    let message = |client_id: &str, content: &str| json!({ "to": to, "client_id": client_id, "content": content });
    let typed = |kind: &str| json!({ "to": to, "client_id": "t", "content": "x", "content_type": kind });
    let largest = "é".repeat(8 * 1024);
    for (params, code) in [
        (message("1", ""), "invalid"),
        (message("1", &format!("{largest}x")), "too_large"),
        (message("", "x"), "invalid"),
        (message(&"c".repeat(65), "x"), "invalid"),
        (message("a\u{0}b", "x"), "invalid"),
        (message("a\u{7f}", "x"), "invalid"),
        (message("a ", "x"), "invalid"),
        (typed(""), "invalid"),
        (typed("text/plain\r\nx: y"), "invalid"),
        (typed(&"t".repeat(128)), "invalid"),
        (json!({ "to": "1", "client_id": "1", "content": "x" }), "not_found"),
        (
            json!({ "to": "18446744073709551615", "client_id": "1", "content": "x" }),
            "not_found",
        ),
        (json!({ "to": "0", "client_id": "1", "content": "x" }), "not_found"),
        (json!({ "to": ann.user, "client_id": "1", "content": "x" }), "invalid"),
        (
            json!({ "to": bob.user, "client_id": "1", "content": "x", "qos": "exactly" }),
            "invalid",
        ),
        (
            json!({ "to": bob.user, "client_id": "1", "content": "x", "priority": 3 }),
            "invalid",
        ),
    ] {
        let error = refused(&node, &mut ann, "send.send-message", &params.to_string()).await;
        assert_eq!((error.code.as_str(), error.retryable), (code, false), "{params}");
    }
    // At the bounds, and with every character that text can have.
    let strange = "\u{0}\u{7}\u{1b}[2J\u{202e}\u{fffd}\u{10ffff}'; DROP TABLE users; --";
    for (client_id, content) in [("c".repeat(64), &*largest), ("strange".to_owned(), strange)] {
        ann.call("send.send-message", message(&client_id, content))
            .await
            .expect("sent");
        assert_eq!(bob.notified("message").await["body"]["content"], content);
    }
    let error = refused(
        &node,
        &mut ann,
        "send.send-message",
        &message("strange", "other").to_string(),
    )
    .await;
    assert_eq!(error.code, "client_id_reused");
}

#[tokio::test]
async fn lists_and_limits_are_bounded() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let group = ann.call("groups.create", json!({ "name": "all" })).await.expect("made");
    let ids = |count: u64| (1..=count).map(|id| id.to_string()).collect::<Vec<_>>();
    for (method, params) in [
        ("send.ack", json!({ "messages": ids(1_001) })),
        ("send.status", json!({ "messages": ids(1_001) })),
        ("presence.batch-get-status", json!({ "users": ids(501) })),
        ("groups.invite", json!({ "group": group["id"], "users": ids(501) })),
    ] {
        assert_eq!(
            refused(&node, &mut ann, method, &params.to_string()).await.code,
            "too_large",
            "{method}"
        );
    }
    for limit in [0_u32, 1_000_000, u32::MAX] {
        for (method, mut params) in [
            ("pull-offline.pull", json!({})),
            ("pull-offline.conversations", json!({})),
            ("contacts.list", json!({})),
            ("groups.members", json!({ "group": group["id"] })),
            ("group-pull.pull", json!({ "group": group["id"] })),
        ] {
            params["limit"] = limit.into();
            ann.call(method, params)
                .await
                .unwrap_or_else(|error| panic!("{method} {limit}: {error:?}"));
        }
    }
}

#[tokio::test]
async fn a_token_that_stands_for_nothing_is_refused_wherever_it_is_given() {
    let node = Node::start();
    let ann = Client::register(&node, "ann").await;
    let mut revoked = Client::login(&node, "ann", "tablet", Some("tablet"))
        .await
        .expect("logged in");
    let token = revoked.token.clone();
    revoked.call("login.logout", json!({})).await.expect("logged out");
    let mut almost = ann.token.clone();
    let last = if almost.pop() == Some('0') { '1' } else { '0' };
    almost.push(last);
    let upper = ann.token.to_uppercase();
    let long = "x".repeat(10 * 1024);
    for token in [
        "x",
        &token,
        &almost,
        &long,
        "' OR 1=1 --",
        &format!("{} ", upper),
        PASSWORD,
    ] {
        let error = Client::resume(&node, token).await.err().expect("refused");
        assert_eq!(
            (error.code.as_str(), error.retryable),
            ("unauthenticated", false),
            "{token}"
        );
        let response = http::call(&node, "groups", "mine", "{}", Some(token)).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (401, &json!("unauthenticated")),
            "{token}"
        );
        assert_eq!(Client::bearer(&node, token).await.err(), Some(401), "{token}");
        let admin = http::get(&node, "/admin/metrics", Some(token)).await;
        assert_eq!(admin.status, 401, "{token}");
    }
    // A user is no operator.
    assert_eq!(http::get(&node, "/admin/functions", Some(&ann.token)).await.status, 401);
    for params in [
        json!({}),
        json!({ "token": 1 }),
        json!({ "token": "x", "more": 1 }),
        json!([]),
        json!(null),
    ] {
        let mut client = Client::connect(&node).await;
        let error = client
            .call("connection.resume", params.clone())
            .await
            .expect_err("refused");
        assert_eq!(error.code, "invalid", "{params}");
    }
    Client::resume(&node, &ann.token)
        .await
        .expect("that of another is as good as before");
}
