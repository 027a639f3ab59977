//! What was missed is pulled: pages, and a place for each device.

use serde_json::{Value, json};

use super::{calm, each, send};
use crate::harness::{Client, Node, http};

/// An account that is away, and somebody who sends to it.
async fn absent(node: &Node) -> (String, Client) {
    (http::register(node, "bob").await, Client::register(node, "ann").await)
}

async fn send_many(from: &mut Client, to: &str, count: u32) -> Vec<Value> {
    let mut begun = Vec::new();
    for number in 1..=count {
        let params = json!({ "to": to, "client_id": number.to_string(), "content": format!("missed {number}") });
        begun.push(from.begin("send.send-message", params).await);
    }
    let mut sent = Vec::new();
    for call in begun {
        sent.push(from.answer(call).await.expect("accepted")["message"].clone());
    }
    sent
}

async fn pull(client: &mut Client, params: Value) -> Value {
    client.call("pull-offline.pull", params).await.expect("pulled")
}

/// The places of a page, where it goes on, and whether it does.
fn shape(page: &Value) -> Value {
    json!([each(&page["entries"], "/cursor"), page["next"], page["more"]])
}

#[tokio::test]
async fn what_was_missed_is_pulled_in_order_page_by_page() {
    let node = calm();
    let (bob, mut ann) = absent(&node).await;
    let sent = send_many(&mut ann, &bob, 7).await;
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    let first = pull(&mut bob, json!({ "limit": 3 })).await;
    assert_eq!(shape(&first), json!([["1", "2", "3"], "3", true]));
    let second = pull(&mut bob, json!({ "since": first["next"], "limit": 3 })).await;
    assert_eq!(shape(&second), json!([["4", "5", "6"], "6", true]));
    let third = pull(&mut bob, json!({ "since": second["next"], "limit": 3 })).await;
    assert_eq!(shape(&third), json!([["7"], "7", false]));
    assert_eq!(
        shape(&pull(&mut bob, json!({ "since": third["next"] })).await),
        json!([[], "7", false])
    );

    let whole = pull(&mut bob, json!({ "since": "0" })).await;
    assert_eq!(each(&whole["entries"], "/message/id"), sent);
    let contents: Vec<String> = (1..=7).map(|number| format!("missed {number}")).collect();
    assert_eq!(each(&whole["entries"], "/message/content"), contents);
    assert!(each(&whole["entries"], "/kind").iter().all(|kind| kind == "message"));
}

#[tokio::test]
async fn a_page_has_a_hundred_entries_unless_said_otherwise_and_five_hundred_at_most() {
    let node = calm();
    let (bob, mut ann) = absent(&node).await;
    send_many(&mut ann, &bob, 501).await;
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    for (limit, entries, next) in [
        (Value::Null, 100, "100"),
        (json!(1000), 500, "500"),
        (json!(501), 500, "500"),
    ] {
        let page = pull(&mut bob, json!({ "since": "0", "limit": limit })).await;
        assert_eq!(page["entries"].as_array().map(Vec::len), Some(entries));
        assert_eq!((&page["next"], &page["more"]), (&json!(next), &json!(true)));
    }
}

#[tokio::test]
async fn what_was_pulled_is_delivered_once_it_is_acknowledged() {
    let node = calm();
    let (bob, mut ann) = absent(&node).await;
    let sent = send_many(&mut ann, &bob, 3).await;
    let states = ann
        .call("send.status", json!({ "messages": sent }))
        .await
        .expect("told");
    assert_eq!(each(&states, "/state"), ["created", "created", "created"]);
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    pull(&mut bob, json!({})).await;
    let ack = json!({ "messages": sent, "cursor": "3" });
    assert_eq!(bob.call("send.ack", ack).await, Ok(json!(3)));
    let receipt = ann.notified("receipt").await["body"].clone();
    assert_eq!(
        (&receipt["state"], &receipt["messages"]),
        (&json!("delivered"), &json!(sent))
    );
    assert_eq!(shape(&pull(&mut bob, json!({})).await), json!([[], "3", false]));
}

#[tokio::test]
async fn each_device_has_its_own_place() {
    let node = calm();
    let (bob, mut ann) = absent(&node).await;
    send_many(&mut ann, &bob, 4).await;
    let mut phone = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    let mut desk = Client::login(&node, "bob", "desk", Some("desktop"))
        .await
        .expect("logged in");
    phone
        .call("send.ack", json!({ "messages": [], "cursor": "2" }))
        .await
        .expect("acknowledged");
    pull(&mut desk, json!({ "since": "3" })).await;
    assert_eq!(
        shape(&pull(&mut phone, json!({})).await),
        json!([["3", "4"], "4", false])
    );
    assert_eq!(shape(&pull(&mut desk, json!({})).await), json!([["4"], "4", false]));
    // The place belongs to the device, not to its session.
    drop(phone);
    let mut phone = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    assert_eq!(
        shape(&pull(&mut phone, json!({})).await),
        json!([["3", "4"], "4", false])
    );
}

#[tokio::test]
async fn a_place_past_the_end_is_refused() {
    let node = calm();
    let (bob, mut ann) = absent(&node).await;
    send_many(&mut ann, &bob, 2).await;
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    let error = bob
        .call("pull-offline.pull", json!({ "since": "3" }))
        .await
        .expect_err("refused");
    assert_eq!(error.code, "invalid");
    let error = bob
        .call("send.ack", json!({ "messages": [], "cursor": "3" }))
        .await
        .expect_err("refused");
    assert_eq!(error.code, "invalid");
    assert_eq!(shape(&pull(&mut bob, json!({})).await), json!([["1", "2"], "2", false]));
    assert_eq!(
        shape(&pull(&mut ann, json!({})).await),
        json!([[], "0", false]),
        "an inbox begins empty"
    );
}

#[tokio::test]
async fn what_is_not_for_the_caller_is_not_acknowledged() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let sent = send(&mut ann, &bob.user, "1", "hello").await;
    let ack = json!({ "messages": [sent["message"], "1"] });
    for (client, count) in [(&mut carl, 0), (&mut ann, 0), (&mut bob, 1)] {
        assert_eq!(client.call("send.ack", ack.clone()).await, Ok(json!(count)));
    }
    let many: Vec<String> = (0..1001).map(|id: u32| id.to_string()).collect();
    let error = bob
        .call("send.ack", json!({ "messages": many }))
        .await
        .expect_err("refused");
    assert_eq!(error.code, "too_large");
}
