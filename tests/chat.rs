//! People chat: who hears what, in which order, and who may not be written to.

mod batching;
mod conversations;
mod inbox;
pub mod quality;
mod recall;

use serde_json::{Value, json};

use crate::harness::{Client, Manifest, Node, http};

/// A node that pushes nothing twice, however slow the machine is.
pub fn calm() -> Node {
    Node::with(&calm_manifest())
}

/// The manifest of such a node.
pub fn calm_manifest() -> Manifest {
    Manifest::default().set("component.send.tool.mpim.config.retry-after-ms", 600_000)
}

/// Sends a message that is accepted. Gives its receipt.
pub async fn send(from: &mut Client, to: &str, client_id: &str, content: &str) -> Value {
    let params = json!({ "to": to, "client_id": client_id, "content": content });
    from.call("send.send-message", params).await.expect("accepted")
}

/// The items of a list under a key, or under the index of each.
pub fn each(list: &Value, pointer: &str) -> Vec<Value> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|item| {
            item.pointer(pointer)
                .unwrap_or_else(|| panic!("{item} has no {pointer}"))
                .clone()
        })
        .collect()
}

#[tokio::test]
async fn a_message_reaches_its_receiver_and_its_receipts_reach_the_sender() {
    let node = Node::start();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let sent = ann
        .call(
            "send.send-message",
            json!({ "to": bob.user, "client_id": "1", "content": "hello" }),
        )
        .await
        .expect("sent");
    let heard = bob.notified("message").await;
    assert_eq!(heard["cursor"], "1");
    assert_eq!(heard["body"]["content"], "hello");
    assert_eq!(heard["body"]["id"], sent["message"]);
    bob.call("send.ack", json!({ "messages": [sent["message"]], "cursor": "1" }))
        .await
        .expect("acknowledged");
    let receipt = ann.notified("receipt").await;
    assert_eq!(receipt["body"]["state"], "delivered");
    bob.call(
        "send.mark-read",
        json!({ "conversation": sent["conversation"], "up_to": "1" }),
    )
    .await
    .expect("read");
    assert_eq!(ann.notified("receipt").await["body"]["state"], "read");
}

#[tokio::test]
async fn a_message_says_all_of_itself() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let content = "{\"text\":\"héllo\u{0}\\\" 🦀 \u{2028}\"}";
    let params = json!({
        "to": bob.user,
        "client_id": "draft/1",
        "content": content,
        "content_type": "application/json",
        "priority": "urgent",
        "qos": "exactly_once",
    });
    let receipt = ann.call("send.send-message", params).await.expect("sent");
    let expected = json!({
        "id": receipt["message"],
        "conversation": receipt["conversation"],
        "seq": "1",
        "sender": ann.user,
        "to": bob.user,
        "client_id": "draft/1",
        "content": content,
        "content_type": "application/json",
        "priority": "urgent",
        "qos": "exactly_once",
        "state": "sending",
        "created_at": receipt["created_at"],
    });
    assert_eq!(bob.notified("message").await["body"], expected);
    let second = send(&mut bob, &ann.user.clone(), "1", "hi").await;
    let heard = ann.notified("message").await["body"].clone();
    assert_eq!(
        json!([heard["content_type"], heard["priority"], heard["qos"]]),
        json!(["text/plain", "normal", "at_least_once"])
    );
    assert_eq!(
        (&second["conversation"], &second["seq"]),
        (&receipt["conversation"], &json!("2"))
    );
}

#[tokio::test]
async fn every_device_of_both_users_hears_but_the_one_that_sent() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut desk = Client::login(&node, "ann", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let mut tablet = Client::login(&node, "bob", "tablet", Some("tablet"))
        .await
        .expect("logged in");
    let sent = send(&mut ann, &bob.user, "1", "hello").await;
    for device in [&mut bob, &mut tablet] {
        let heard = device.notified("message").await;
        assert_eq!(
            (&heard["cursor"], &heard["body"]["id"]),
            (&json!("1"), &sent["message"])
        );
    }
    let echo = desk.notified("message").await;
    assert_eq!((echo.get("cursor"), &echo["body"]["id"]), (None, &sent["message"]));
    ann.settle(&mut bob).await;
    assert_eq!(ann.heard("message"), Vec::<Value>::new());
}

#[tokio::test]
async fn each_step_of_a_receipt_reaches_every_device_of_the_sender_once() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut desk = Client::login(&node, "ann", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let mut tablet = Client::login(&node, "bob", "tablet", Some("tablet"))
        .await
        .expect("logged in");
    let sent = send(&mut ann, &bob.user, "1", "hello").await;
    let id = &sent["message"];
    let ack = json!({ "messages": [id] });
    assert_eq!(bob.call("send.ack", ack.clone()).await, Ok(json!(1)));
    assert_eq!(
        tablet.call("send.ack", ack.clone()).await,
        Ok(json!(0)),
        "the user has it already"
    );
    let read = json!({ "conversation": sent["conversation"], "up_to": "1" });
    assert_eq!(tablet.call("send.mark-read", read.clone()).await, Ok(json!(1)));
    assert_eq!(bob.call("send.mark-read", read).await, Ok(json!(0)));
    assert_eq!(
        bob.call("send.ack", ack).await,
        Ok(json!(0)),
        "a state moves forward only"
    );
    for device in [&mut ann, &mut desk] {
        for state in ["delivered", "read"] {
            let receipt = device.notified("receipt").await["body"].clone();
            assert_eq!(
                json!([receipt["state"], receipt["by"], receipt["messages"]]),
                json!([state, bob.user, [id]])
            );
            assert_eq!(receipt["conversation"], sent["conversation"]);
        }
        device.settle(&mut bob).await;
        assert_eq!(device.heard("receipt"), Vec::<Value>::new());
    }
    let status = ann
        .call("send.status", json!({ "messages": [id] }))
        .await
        .expect("told");
    assert_eq!(each(&status, "/state"), [json!("read")]);
}

#[tokio::test]
async fn messages_sent_without_waiting_keep_their_order() {
    const COUNT: u32 = 50;
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut begun = Vec::new();
    for number in 1..=COUNT {
        let params = json!({ "to": bob.user, "client_id": number.to_string(), "content": format!("number {number}") });
        begun.push(ann.begin("send.send-message", params).await);
    }
    for (number, call) in (1..=COUNT).zip(begun) {
        assert_eq!(ann.answer(call).await.expect("accepted")["seq"], number.to_string());
    }
    for number in 1..=COUNT {
        let heard = bob.notified("message").await;
        assert_eq!(
            (&heard["cursor"], &heard["body"]["seq"]),
            (&json!(number.to_string()), &json!(number.to_string()))
        );
        assert_eq!(heard["body"]["content"], format!("number {number}"));
    }
}

#[tokio::test]
async fn a_repeat_has_the_first_receipt_and_sends_nothing() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let first = send(&mut ann, &bob.user, "1", "hello").await;
    let mut repeats = vec![send(&mut ann, &bob.user, "1", "hello").await];
    let again = json!({ "to": bob.user, "client_id": "1", "content": "hello" });
    repeats.push(http::done(&node, "send", "send-message", &again, Some(&ann.token)).await);
    for repeat in repeats {
        for key in ["message", "conversation", "seq", "created_at"] {
            assert_eq!(repeat[key], first[key], "{key}");
        }
    }
    bob.notified("message").await;
    bob.settle(&mut ann).await;
    assert_eq!(bob.heard("message"), Vec::<Value>::new());
    let page = bob
        .call("pull-offline.pull", json!({ "since": "0" }))
        .await
        .expect("pulled");
    assert_eq!(each(&page["entries"], "/message/id"), [first["message"].clone()]);
}

#[tokio::test]
async fn a_client_id_is_not_taken_for_other_content() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let carl = http::register(&node, "carl").await;
    send(&mut ann, &bob.user, "1", "hello").await;
    let mut others = vec![
        json!({ "to": bob.user, "client_id": "1", "content": "hello!" }),
        json!({ "to": bob.user, "client_id": "1", "content": "hello", "content_type": "text/html" }),
        json!({ "to": carl, "client_id": "1", "content": "hello" }),
    ];
    for other in &others {
        let error = ann.call("send.send-message", other.clone()).await.expect_err("refused");
        assert_eq!(
            (error.code.as_str(), error.retryable),
            ("client_id_reused", false),
            "{other}"
        );
    }
    let other = others.remove(0).to_string();
    assert_eq!(
        http::call(&node, "send", "send-message", other, Some(&ann.token))
            .await
            .status,
        409
    );
    assert_eq!(send(&mut bob, &ann.user, "1", "another sender's").await["seq"], "2");
}

#[tokio::test]
async fn a_blocked_sender_gets_a_typed_error() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let first = send(&mut ann, &bob.user, "1", "before").await;
    bob.notified("message").await;
    bob.call("contacts.block", json!({ "user": ann.user }))
        .await
        .expect("blocked");
    let message = json!({ "to": bob.user, "client_id": "2", "content": "hello" });
    let error = ann
        .call("send.send-message", message.clone())
        .await
        .expect_err("refused");
    assert_eq!((error.code.as_str(), error.retryable), ("blocked", false));
    let refused = http::call(&node, "send", "send-message", message.to_string(), Some(&ann.token)).await;
    assert_eq!(refused.status, 403);
    // A repeat of what was kept before is no new message.
    assert_eq!(
        send(&mut ann, &bob.user, "1", "before").await["message"],
        first["message"]
    );
    assert_eq!(send(&mut bob, &ann.user, "1", "the other way").await["seq"], "2");
    let page = bob
        .call("pull-offline.pull", json!({ "since": "0" }))
        .await
        .expect("pulled");
    assert_eq!(page["next"], "1", "nothing of a refused message was kept");

    bob.call("contacts.unblock", json!({ "user": ann.user }))
        .await
        .expect("unblocked");
    let accepted = ann.call("send.send-message", message).await.expect("accepted");
    let heard = bob.notified("message").await;
    assert_eq!(
        (&heard["cursor"], &heard["body"]["id"]),
        (&json!("2"), &accepted["message"])
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_with_its_reason() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    let (me, longest) = (ann.user.clone(), "x".repeat(16 * 1024));
    for (to, client_id, content, code) in [
        ("1", "1", "hello", "not_found"),
        (me.as_str(), "1", "hello", "invalid"),
        (bob.as_str(), "", "hello", "invalid"),
        (bob.as_str(), &"c".repeat(65), "hello", "invalid"),
        (bob.as_str(), "1", "", "invalid"),
        (bob.as_str(), "1", &format!("{longest}x"), "too_large"),
    ] {
        let params = json!({ "to": to, "client_id": client_id, "content": content });
        let error = ann.call("send.send-message", params).await.expect_err("refused");
        assert_eq!(
            (error.code.as_str(), error.retryable),
            (code, false),
            "{to} {client_id} {}",
            content.len()
        );
    }
    let receipt = send(&mut ann, &bob, &"c".repeat(64), &longest).await;
    assert_eq!(receipt["seq"], "1", "nothing of the refused was kept");
}
