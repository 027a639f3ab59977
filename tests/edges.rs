//! The two edges, HTTP and WebSocket: the same methods, the same JSON, the same errors.

mod frames;
mod openapi;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::http::Response;
use crate::harness::{Client, Node, http};

/// What HTTP answers.
async fn over_http(node: &Node, method: &str, params: &Value, token: &str) -> Response {
    let (function, method) = method.split_once('.').expect("a function and a method");
    http::call(node, function, method, params.to_string(), Some(token)).await
}

#[tokio::test]
async fn a_method_gives_the_same_json_on_both_edges() {
    let node = Node::start();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let message = json!({ "to": bob.user, "client_id": "1", "content": "héllo \u{1F980}" });
    let sent = ann.call("send.send-message", message.clone()).await.expect("sent");
    bob.call("send.ack", json!({ "messages": [sent["message"]] }))
        .await
        .expect("acknowledged");
    let group = ann
        .call("groups.create", json!({ "name": "friends" }))
        .await
        .expect("made");
    ann.call("contacts.request", json!({ "user": bob.user }))
        .await
        .expect("asked");
    for (method, params) in [
        ("login.sessions", json!({})),
        ("login.verify", json!({ "token": ann.token })),
        ("send.send-message", message),
        ("send.status", json!({ "messages": [sent["message"]] })),
        ("send.ack", json!({ "messages": [] })),
        ("pull-offline.pull", json!({ "limit": 10 })),
        ("pull-offline.history", json!({ "conversation": sent["conversation"] })),
        ("pull-offline.conversations", json!({})),
        ("groups.info", json!({ "group": group["id"] })),
        ("groups.members", json!({ "group": group["id"] })),
        ("group-pull.unread", json!({})),
        ("contacts.list", json!({})),
        ("contacts.find", json!({ "name": "bob" })),
        ("contacts.unblock", json!({ "user": bob.user })),
        ("presence.get-status", json!({ "user": bob.user })),
        ("presence.count-online", json!({})),
    ] {
        let over_socket = ann
            .call(method, params.clone())
            .await
            .unwrap_or_else(|error| panic!("{method}: {error:?}"));
        let response = over_http(&node, method, &params, &ann.token).await;
        assert_eq!(
            (response.status, response.content_type.as_str()),
            (200, "application/json"),
            "{method}"
        );
        assert_eq!(response.json(), over_socket, "{method}");
    }
}

#[tokio::test]
async fn a_refusal_says_the_same_on_both_edges() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let mut bob = Client::register(&node, "bob").await;
    bob.call("contacts.block", json!({ "user": ann.user }))
        .await
        .expect("blocked");
    let group = bob
        .call("groups.create", json!({ "name": "closed", "join": "invite_only" }))
        .await
        .expect("made");
    let message = |to: &str, content: &str| json!({ "to": to, "client_id": "1", "content": content });
    for (method, params, status, code, number) in [
        ("send.send-message", message("1", "hello"), 404, "not_found", -32000),
        ("send.send-message", message(&bob.user, "hello"), 403, "blocked", -32000),
        ("send.send-message", message(&ann.user, "hello"), 400, "invalid", -32602),
        (
            "send.send-message",
            message("1", &"x".repeat(16 * 1024 + 1)),
            413,
            "too_large",
            -32000,
        ),
        ("groups.join", json!({ "group": group["id"] }), 403, "forbidden", -32000),
        (
            "login.register",
            json!({ "name": "ann", "password": "long enough" }),
            409,
            "already_exists",
            -32000,
        ),
        (
            "login.verify",
            json!({ "token": "none" }),
            401,
            "unauthenticated",
            -32000,
        ),
        ("send.no-such-method", json!({}), 404, "unknown_method", -32601),
        ("nobody.send-message", json!({}), 404, "unknown_method", -32601),
        ("groups.mine", json!({ "extra": 1 }), 400, "invalid", -32602),
        ("groups.mine", json!([]), 400, "invalid", -32602),
    ] {
        let error = ann.call(method, params.clone()).await.expect_err(method);
        assert_eq!(
            (error.code.as_str(), error.number, error.retryable),
            (code, number, false),
            "{method}"
        );
        let response = over_http(&node, method, &params, &ann.token).await;
        assert_eq!(
            (response.status, response.content_type.as_str()),
            (status, "application/problem+json"),
            "{method}"
        );
        let problem = response.json();
        let title = problem["title"].as_str().expect("a title").to_owned();
        let expected = json!({
            "type": format!("urn:mpim:error:{code}"),
            "title": title,
            "status": status,
            "detail": error.message,
            "code": code,
            "retryable": false,
        });
        assert_eq!(problem, expected, "{method}");
    }
}

#[tokio::test]
async fn http_refuses_what_is_no_call() {
    let node = Node::start();
    let (post, path) = ("POST", "/v1/login/verify");
    for (method, path, body, status, code) in [
        (post, "/v1/login", "", 404, "not_found"),
        (post, "/", "", 404, "not_found"),
        ("GET", path, "", 405, "invalid"),
        (post, path, "{", 400, "parse_error"),
        (post, path, "{}", 400, "invalid"),
        (post, path, "\u{0}", 400, "parse_error"),
        (
            post,
            path,
            &format!("{{\"token\":\"{}\"}}", "x".repeat(64 * 1024)),
            413,
            "too_large",
        ),
    ] {
        let response = http::request(&node, method, path, body.to_owned(), None).await;
        let answer = (
            response.status,
            response.content_type.as_str(),
            response.json()["code"].clone(),
        );
        assert_eq!(
            answer,
            (status, "application/problem+json", json!(code)),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn private_methods_are_as_unknown_as_those_that_are_not_there() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    for method in [
        "send.retry-pending",
        "send.mark-sent",
        "route.gateways",
        "route.get-connections",
        "login.check-sessions",
        "presence.set-offline",
        "presence.keep-last-seen",
        "contacts.watchers",
        "groups.topics",
        "send.nothing-of-this-name",
    ] {
        let error = ann.call(method, json!({})).await.expect_err(method);
        assert_eq!(
            (error.code, error.message),
            ("unknown_method".to_owned(), format!("unknown method {method}"))
        );
        let response = over_http(&node, method, &json!({}), &ann.token).await;
        assert_eq!(response.status, 404);
        assert_eq!(response.json()["detail"], format!("unknown method {method}"));
    }
}

#[tokio::test]
async fn a_client_cannot_say_who_calls() {
    let node = Node::start();
    let (mut ann, bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let caller = json!({ "user": bob.user, "session": "1", "device": "phone" });
    let params = json!({ "caller": caller });
    let error = ann.call("groups.mine", params.clone()).await.expect_err("refused");
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("invalid", "params: `caller` is not known here")
    );
    let refused = over_http(&node, "groups.mine", &params, &ann.token).await;
    assert_eq!(
        (refused.status, refused.json()["detail"].clone()),
        (400, json!(error.message))
    );
    let anonymous = http::call(&node, "groups", "mine", params.to_string(), None).await;
    assert_eq!(anonymous.status, 401);
}

#[tokio::test]
async fn long_numbers_are_text_and_are_read_as_text_or_number() {
    let node = Node::start();
    let (mut ann, bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let id: u64 = bob.user.parse().expect("decimal digits");
    assert!(id > 1 << 53, "ids need more than the integers of JavaScript");
    for (client_id, to) in [("1", json!(bob.user)), ("2", json!(id))] {
        let params = json!({ "to": to, "client_id": client_id, "content": "hello" });
        let receipt = ann.call("send.send-message", params).await.expect("sent");
        for key in ["message", "conversation", "seq", "created_at"] {
            assert!(receipt[key].is_string(), "{key}");
        }
        assert_eq!(receipt["seq"], client_id);
    }
    let digits = "18446744073709551616";
    for wrong in [
        json!(-1),
        json!("-1"),
        json!(1.5),
        json!(digits),
        json!("0x1"),
        json!(""),
        json!(" 1"),
        json!(true),
        json!(null),
    ] {
        let error = ann
            .call("presence.get-status", json!({ "user": wrong }))
            .await
            .expect_err("refused");
        assert_eq!(error.code, "invalid", "{wrong}");
        assert!(error.message.starts_with("params.user: "), "{}", error.message);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_parameter_is_named() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let good = json!({ "to": "1", "client_id": "1", "content": "hello" });
    let with = |key: &str, value: Value| {
        let mut params = good.clone();
        params[key] = value;
        params
    };
    for (params, message) in [
        (json!({ "to": "1", "client_id": "1" }), "params: `content` is missing"),
        (
            with("content", json!(1)),
            "params.content: expected a string, got a number",
        ),
        (
            with("priority", json!("top")),
            "params.priority: `top` is not one of low, normal, high, urgent",
        ),
        (
            with("qos", json!("at-most-once")),
            "params.qos: `at-most-once` is not one of at_most_once, at_least_once, exactly_once",
        ),
        (with("clientId", json!("1")), "params: `clientId` is not known here"),
    ] {
        let error = ann.call("send.send-message", params).await.expect_err("refused");
        assert_eq!((error.code.as_str(), error.message.as_str()), ("invalid", message));
    }
    let nothing_said = with("priority", Value::Null);
    let error = ann
        .call("send.send-message", nothing_said)
        .await
        .expect_err("there is no user 1");
    assert_eq!(error.code, "not_found", "null is as good as nothing");
}

#[tokio::test]
async fn a_token_in_the_header_of_the_upgrade_logs_in() {
    let node = Node::start();
    let mut bob = Client::register(&node, "bob").await;
    let ann = http::register(&node, "ann").await;
    let token = http::login(&node, "ann", "phone").await;
    let mut connection = Client::bearer(&node, &token).await.expect("connected");
    assert_eq!(connection.call("groups.mine", json!({})).await, Ok(json!([])));
    let message = json!({ "to": ann, "client_id": "1", "content": "hello" });
    bob.call("send.send-message", message).await.expect("sent");
    assert_eq!(connection.notified("message").await["body"]["content"], "hello");
    assert_eq!(Client::bearer(&node, "no such token").await.map(|_| ()), Err(401));
}

#[tokio::test]
async fn a_node_says_that_it_is_well_and_keeps_the_rest_for_its_operator() {
    let node = Node::start();
    let well = http::get(&node, "/healthz", None).await;
    assert_eq!((well.status, well.text.as_str()), (200, "ok\n"));
    http::register(&node, "ann").await;
    let users = http::login(&node, "ann", "phone").await;
    let operators = node.operator_token();
    for path in ["/admin/functions", "/admin/metrics"] {
        for token in [None, Some(users.as_str()), Some(""), Some(&operators[1..])] {
            let refused = http::get(&node, path, token).await;
            assert_eq!(
                (refused.status, refused.json()["code"].clone()),
                (401, json!("unauthenticated")),
                "{path} {token:?}"
            );
        }
        assert_eq!(http::get(&node, path, Some(&operators)).await.status, 200, "{path}");
    }
}

/// A text frame.
fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}
