//! People chat.

use serde_json::json;

use crate::harness::{Client, Node};

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
