//! A component in Python is a function like any other: its WIT is all that it shares with the host.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::harness::node::Folder;
use crate::harness::{Client, Manifest, Node, http};

const GREETING: &str = "component.bot.tool.mpim.config.greeting";

/// The application with the bot, and beside it a function in Rust to compare it with.
fn with_bot() -> Manifest {
    Manifest::default()
        .function("echo", "echo", &["test:echo/echo"])
        .function("bot", "bot", &["mpim:bot/bot"])
        .set(GREETING, "you said:")
}

/// Starts a node, one after the other: the first compiles an interpreter, and those that wait find it compiled.
fn start(manifest: &Manifest) -> Node {
    static FIRST: Mutex<()> = Mutex::new(());
    let _first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    Node::in_folder(manifest, Arc::new(Folder::new()))
}

#[tokio::test]
async fn a_bot_in_python_answers_over_both_edges_in_json_of_its_own_types() {
    let node = start(&with_bot());
    let mut ann = Client::register(&node, "ann").await;
    for text in ["hello", "\u{1F980} \u{0} \"\\", &"x".repeat(50_000)] {
        let params = json!({ "text": text });
        let expected = json!({ "to": ann.user, "text": format!("you said: {text}") });
        assert_eq!(ann.call("bot.echo", params.clone()).await, Ok(expected.clone()));
        let over_http = http::done(&node, "bot", "echo", &params, Some(&ann.token)).await;
        assert_eq!(over_http, expected);
    }
    let described = http::get(&node, "/openapi.json", None).await.json();
    let echo = &described["paths"]["/v1/bot/echo"]["post"];
    assert_eq!(echo["security"], json!([{ "token": [] }]));
    assert!(echo.to_string().contains("behind the setting"), "{echo}");
    let thrown = &described["components"]["schemas"]["bot.throw"]["properties"];
    assert_eq!(thrown["faces"]["type"], "array", "{thrown}");
    assert!(described["paths"].get("/v1/bot/init").is_none());
}

#[tokio::test]
async fn what_the_bot_sends_is_a_message_of_who_called_it_and_of_nobody_else() {
    let node = start(&with_bot());
    let mut ann = Client::register(&node, "ann").await;
    let mut bob = Client::register(&node, "bob").await;
    let params = json!({ "to": bob.user, "client_id": "1", "dice": "3d6" });
    let thrown = ann.call("bot.roll", params.clone()).await.expect("thrown");

    let faces: Vec<u64> = thrown["faces"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|face| face.as_u64().expect("a number"))
        .collect();
    assert!(
        faces.len() == 3 && faces.iter().all(|face| (1..=6).contains(face)),
        "{thrown}"
    );
    assert_eq!(thrown["total"], faces.iter().sum::<u64>());

    let heard = bob.notified("message").await;
    assert_eq!(heard["body"]["sender"], ann.user);
    assert_eq!(heard["body"]["id"], thrown["receipt"]["message"]);
    let content = format!("3d6: {} + {} + {} = {}", faces[0], faces[1], faces[2], thrown["total"]);
    assert_eq!(heard["body"]["content"], content);

    // The same id is the same throw and the same message, over the other edge too; another user's is another.
    let again = http::done(&node, "bot", "roll", &params, Some(&ann.token)).await;
    assert_eq!(again["faces"], thrown["faces"]);
    assert_eq!(again["receipt"]["message"], thrown["receipt"]["message"]);
    let params = json!({ "to": ann.user, "client_id": "1", "dice": "20d1000" });
    let other = bob.call("bot.roll", params).await.expect("thrown");
    assert_ne!(other["receipt"]["message"], thrown["receipt"]["message"]);
    assert_eq!(ann.notified("message").await["body"]["sender"], bob.user);
    bob.settle(&mut ann).await;
    assert_eq!(bob.heard("message"), Vec::<Value>::new(), "sent once");
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_told_as_by_any_other_function() {
    let node = start(&with_bot());
    let mut ann = Client::register(&node, "ann").await;
    for params in [
        json!({}),
        json!({ "text": 5 }),
        json!({ "text": null }),
        json!({ "text": "x", "more": 1 }),
        json!({ "text": "x", "caller": { "user": "1", "session": "1", "device": "x" } }),
        json!(["x"]),
        json!("x"),
    ] {
        let expected = ann.call("echo.say", params.clone()).await.expect_err("refused");
        let refused = ann.call("bot.echo", params.clone()).await.expect_err("refused");
        assert_eq!(refused, expected, "{params}");
        let expected = http::call(&node, "echo", "say", params.to_string(), Some(&ann.token)).await;
        let refused = http::call(&node, "bot", "echo", params.to_string(), Some(&ann.token)).await;
        assert_eq!((refused.status, refused.text), (expected.status, expected.text));
        assert_eq!(refused.content_type, expected.content_type);
    }
    let stranger = http::call(&node, "bot", "echo", json!({ "text": "x" }).to_string(), None).await;
    assert_eq!(
        (stranger.status, &stranger.json()["code"]),
        (401, &json!("unauthenticated"))
    );

    // What the bot itself refuses, and what the function that it calls does.
    let myself = ann.user.clone();
    let roll = |to: &str, dice: &str| json!({ "to": to, "client_id": "1", "dice": dice });
    for (method, params, code) in [
        ("bot.echo", json!({ "text": "" }), "invalid"),
        ("bot.roll", roll("1", "0d6"), "invalid"),
        ("bot.roll", roll("1", "21d6"), "invalid"),
        ("bot.roll", roll("1", "1d1"), "invalid"),
        ("bot.roll", roll("1", "1d1001"), "invalid"),
        ("bot.roll", roll("1", "\u{0661}d6"), "invalid"),
        ("bot.roll", roll("1", "2d6\n"), "invalid"),
        ("bot.roll", roll("1", "2d6"), "not_found"),
        ("bot.roll", roll(&myself, "2d6"), "invalid"),
    ] {
        let error = ann.call(method, params.clone()).await.expect_err(code);
        assert_eq!((error.code.as_str(), error.retryable), (code, false), "{params}");
    }
}

#[tokio::test]
async fn an_exception_in_the_bot_costs_its_own_call_and_only_the_log_says_why() {
    let node = start(&with_bot().without(GREETING));
    let mut ann = Client::register(&node, "ann").await;
    let mut bob = Client::register(&node, "bob").await;
    for round in 0..3 {
        let client_id = round.to_string();
        let failing = bob.begin("bot.echo", json!({ "text": "x" })).await;
        let params = json!({ "to": bob.user, "client_id": client_id, "dice": "1d6" });
        ann.call("bot.roll", params).await.expect("another call goes on");
        let error = bob.answer(failing).await.expect_err("an exception");
        assert_eq!((error.code.as_str(), error.retryable), ("internal", false));
        assert!(!error.message.contains("greeting"), "{}", error.message);
        // The connection of who called it goes on, too.
        assert_eq!(bob.call("echo.whoami", json!({})).await, Ok(json!(bob.user)));
    }
    assert!(node.log().contains("LookupError('the setting `greeting` is missing')"));
}
