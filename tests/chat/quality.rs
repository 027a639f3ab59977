//! The three qualities of service, and the pushing again of what nobody acknowledged.

use serde_json::{Value, json};

use super::{calm, each};
use crate::harness::{Client, Manifest, Node, http, within};

async fn send(from: &mut Client, to: &str, client_id: &str, qos: &str) -> Value {
    let params = json!({ "to": to, "client_id": client_id, "content": client_id, "qos": qos });
    from.call("send.send-message", params).await.expect("accepted")
}

async fn pulled(client: &mut Client, since: &str) -> Value {
    client
        .call("pull-offline.pull", json!({ "since": since }))
        .await
        .expect("pulled")
}

/// Waits until a message of the client is in a state.
async fn reaches(client: &mut Client, message: &Value, state: &str) {
    let asked = json!({ "messages": [message] });
    let reached =
        async { while client.call("send.status", asked.clone()).await.expect("told")[0]["state"] != state {} };
    within(state, reached).await;
}

#[tokio::test]
async fn at_most_once_fails_where_nobody_listens() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    assert_eq!(send(&mut ann, &bob, "lost", "at_most_once").await["state"], "failed");
    assert_eq!(send(&mut ann, &bob, "kept", "at_least_once").await["state"], "created");
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    let page = pulled(&mut bob, "0").await;
    assert_eq!(each(&page["entries"], "/message/content"), ["kept"]);
    assert_eq!(each(&page["entries"], "/cursor"), ["1"], "the other took no place");
}

#[tokio::test]
async fn at_most_once_is_pushed_and_not_kept_in_the_inbox() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let sent = send(&mut ann, &bob.user, "fleeting", "at_most_once").await;
    let heard = bob.notified("message").await;
    assert_eq!((heard.get("cursor"), &heard["body"]["id"]), (None, &sent["message"]));
    assert_eq!(pulled(&mut bob, "0").await["entries"], json!([]));
    reaches(&mut ann, &sent["message"], "sent").await;
}

#[tokio::test]
async fn a_message_is_sent_once_a_socket_took_it() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let sent = send(&mut ann, &bob.user, "hello", "at_least_once").await;
    assert_eq!(sent["state"], "sending");
    reaches(&mut ann, &sent["message"], "sent").await;
    let entry = pulled(&mut bob, "0").await["entries"][0].clone();
    assert_eq!(entry["message"]["state"], "sent");
    assert!(entry["message"]["sent_at"].is_string() && entry["message"].get("delivered_at").is_none());
}

#[tokio::test]
async fn a_device_is_not_given_again_what_it_acknowledged_exactly_once() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    let once = send(&mut ann, &bob, "once", "exactly_once").await;
    let often = send(&mut ann, &bob, "often", "at_least_once").await;
    let mut phone = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    let mut desk = Client::login(&node, "bob", "desk", Some("desktop"))
        .await
        .expect("logged in");
    assert_eq!(
        each(&pulled(&mut phone, "0").await["entries"], "/message/content"),
        ["once", "often"]
    );
    let ack = json!({ "messages": [once["message"], often["message"]] });
    assert_eq!(phone.call("send.ack", ack.clone()).await, Ok(json!(2)));
    let page = pulled(&mut phone, "0").await;
    assert_eq!(each(&page["entries"], "/message/content"), ["often"]);
    assert_eq!(page["next"], "2", "the page passes the place of the other");
    assert_eq!(
        each(&pulled(&mut desk, "0").await["entries"], "/message/content"),
        ["once", "often"]
    );
    assert_eq!(desk.call("send.ack", ack).await, Ok(json!(0)));
    assert_eq!(
        each(&pulled(&mut desk, "0").await["entries"], "/message/content"),
        ["often"]
    );
}

#[tokio::test]
async fn the_recall_of_an_acknowledged_message_is_told_in_the_inbox() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let sent = send(&mut ann, &bob.user, "once", "exactly_once").await;
    bob.call("send.ack", json!({ "messages": [sent["message"]] }))
        .await
        .expect("acknowledged");
    ann.call("send.recall", json!({ "message": sent["message"] }))
        .await
        .expect("recalled");
    let page = pulled(&mut bob, "0").await;
    assert_eq!(each(&page["entries"], "/kind"), ["recall"]);
}

/// A node that pushes again after a tenth of a second, and then after twice as long each time.
pub fn impatient() -> Node {
    let timer = toml::toml! {
        call = "send.retry-pending"
        every_ms = 20
    };
    let manifest = Manifest::default()
        .set("component.send.tool.mpim.config.retry-after-ms", 100)
        .set("application.tool.mpim.timer", vec![toml::Value::Table(timer)]);
    Node::with(&manifest)
}

/// The next push of a message; what else is pushed meanwhile goes by.
async fn hears(client: &mut Client, content: &str) -> Value {
    loop {
        let heard = client.notified("message").await;
        if heard["body"]["content"] == content {
            return heard;
        }
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_is_pushed_again_at_the_same_place() {
    let node = impatient();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let fleeting = send(&mut ann, &bob.user, "fleeting", "at_most_once").await;
    let sent = send(&mut ann, &bob.user, "again", "at_least_once").await;
    assert_eq!(bob.notified("message").await["body"]["id"], fleeting["message"]);
    for _ in 0..3 {
        // What goes at most once would have come again before.
        let heard = bob.notified("message").await;
        assert_eq!(
            (&heard["cursor"], &heard["body"]["id"]),
            (&json!("1"), &sent["message"])
        );
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_not_pushed_again() {
    let node = impatient();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let first = send(&mut ann, &bob.user, "first", "at_least_once").await;
    hears(&mut bob, "first").await;
    hears(&mut bob, "first").await;
    bob.call("send.ack", json!({ "messages": [first["message"]] }))
        .await
        .expect("acknowledged");
    send(&mut ann, &bob.user, "later", "at_least_once").await;
    // The sweep that pushes this one again began after the acknowledgement: what a former one still
    // pushed of the first message is here by now.
    hears(&mut bob, "later").await;
    hears(&mut bob, "later").await;
    // The first message would have its next turns before the second one has these.
    for _ in 0..2 {
        assert_eq!(bob.notified("message").await["body"]["content"], "later");
    }
}

#[tokio::test]
async fn a_push_to_a_connection_that_was_lost_comes_again_on_the_next_one() {
    let node = impatient();
    let (mut ann, bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let (user, token) = (bob.user.clone(), bob.token.clone());
    let sent = send(&mut ann, &user, "hello", "exactly_once").await;
    bob.drop_abruptly();
    let mut bob = Client::resume(&node, &token).await.expect("resumed");
    assert_eq!(bob.notified("message").await["body"]["id"], sent["message"]);
    bob.call("send.ack", json!({ "messages": [sent["message"]] }))
        .await
        .expect("acknowledged");
    assert_eq!(ann.notified("receipt").await["body"]["state"], "delivered");
}
