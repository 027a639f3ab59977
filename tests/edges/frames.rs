//! Frames of JSON-RPC 2.0.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::text;
use crate::harness::{Client, Node};

fn request(id: Value, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn silent(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

async fn groups(client: &mut Client) -> usize {
    client
        .call("groups.mine", json!({}))
        .await
        .expect("listed")
        .as_array()
        .expect("a list")
        .len()
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let batch = json!([
        request(json!("a"), "groups.create", json!({ "name": "one" })),
        silent("groups.create", json!({ "name": "two" })),
        request(json!(7), "groups.mine", json!({})),
        17,
        request(json!(null), "groups.nothing", json!({})),
    ]);
    let answers = ann.raw(text(&batch)).await.expect("answered");
    let answers = answers.as_array().expect("an array");
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!("a"), &json!(7), &Value::Null, &Value::Null]);
    assert!(answers.iter().all(|answer| answer["jsonrpc"] == "2.0"));
    assert_eq!(answers[0]["result"]["name"], "one");
    assert_eq!(
        answers[1]["result"].as_array().map(Vec::len),
        Some(2),
        "each sees what those before did"
    );
    assert_eq!(answers[2]["error"]["code"], -32600);
    assert_eq!(answers[3]["error"]["code"], -32601);
}

#[tokio::test]
async fn a_request_without_an_id_is_served_and_not_answered() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    ann.send(text(&silent("groups.create", json!({ "name": "one" })))).await;
    ann.send(text(&silent("groups.nothing", json!({})))).await;
    ann.send(text(&json!([
        silent("groups.create", json!({ "name": "two" })),
        silent("groups.nothing", json!({}))
    ])))
    .await;
    // The next frame that is no notification answers the next request that has an id.
    let answer = ann
        .raw(text(&request(json!("next"), "groups.mine", json!({}))))
        .await
        .expect("answered");
    assert_eq!(
        (&answer["id"], answer["result"].as_array().map(Vec::len)),
        (&json!("next"), Some(2))
    );
}

#[tokio::test]
async fn a_batch_logs_in_and_calls() {
    let node = Node::start();
    let ann = Client::register(&node, "ann").await;
    let mut other = Client::connect(&node).await;
    let batch = json!([
        request(json!(1), "groups.mine", json!({})),
        request(json!(2), "connection.resume", json!({ "token": ann.token })),
        request(json!(3), "groups.mine", json!({})),
    ]);
    let answers = other.raw(text(&batch)).await.expect("answered");
    assert_eq!(answers[0]["error"]["data"]["code"], "unauthenticated");
    assert_eq!(
        (&answers[1]["result"]["user"], &answers[2]["result"]),
        (&json!(ann.user), &json!([]))
    );
    assert_eq!(groups(&mut other).await, 0);
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_its_error() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let many: Vec<Value> = (0..65).map(|id| request(json!(id), "groups.mine", json!({}))).collect();
    for (frame, number, code) in [
        ("nonsense".to_owned(), -32700, "parse_error"),
        (String::new(), -32700, "parse_error"),
        ("[".to_owned(), -32700, "parse_error"),
        ("[]".to_owned(), -32600, "invalid_request"),
        ("{}".to_owned(), -32600, "invalid_request"),
        (
            json!({ "jsonrpc": "1.0", "id": 1, "method": "groups.mine" }).to_string(),
            -32600,
            "invalid_request",
        ),
        (
            json!({ "jsonrpc": "2.0", "id": {}, "method": "groups.mine" }).to_string(),
            -32600,
            "invalid_request",
        ),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "method": "mine" }).to_string(),
            -32601,
            "unknown_method",
        ),
        (json!(many).to_string(), -32000, "too_large"),
    ] {
        let answer = ann.raw(Message::text(frame.clone())).await.expect("answered");
        let error = &answer["error"];
        assert_eq!(
            (&error["code"], &error["data"]["code"]),
            (&json!(number), &json!(code)),
            "{frame}"
        );
        assert_eq!(
            (&answer["jsonrpc"], &error["data"]["retryable"]),
            (&json!("2.0"), &json!(false))
        );
    }
    assert_eq!(groups(&mut ann).await, 0, "the connection goes on");
}
