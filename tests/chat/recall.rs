//! People take back what they have said.

use serde_json::{Value, json};

use super::{calm, calm_manifest, each, send};
use crate::harness::{Client, Node, http};

#[tokio::test]
async fn a_recalled_message_loses_its_content_everywhere() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut desk = Client::login(&node, "ann", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let sent = send(&mut ann, &bob.user, "1", "regretted").await;
    bob.notified("message").await;
    let recall = json!({ "message": sent["message"] });
    assert_eq!(ann.call("send.recall", recall.clone()).await, Ok(Value::Null));

    let (told, own) = (bob.notified("recalled").await, desk.notified("recalled").await);
    assert_eq!((told.get("cursor"), own.get("cursor")), (Some(&json!("2")), None));
    let what = json!([sent["message"], sent["conversation"], "1", ann.user]);
    for body in [&told["body"], &own["body"]] {
        assert_eq!(
            json!([body["message"], body["conversation"], body["seq"], body["by"]]),
            what
        );
    }
    let page = bob
        .call("pull-offline.pull", json!({ "since": "0" }))
        .await
        .expect("pulled");
    assert_eq!(each(&page["entries"], "/kind"), ["message", "recall"]);
    assert_eq!(
        each(&page["entries"], "/message/id"),
        [sent["message"].clone(), sent["message"].clone()]
    );
    let history = json!({ "conversation": sent["conversation"] });
    let history = bob.call("pull-offline.history", history).await.expect("found");
    let conversations = bob.call("pull-offline.conversations", json!({})).await.expect("listed");
    for message in [
        &page["entries"][0]["message"],
        &page["entries"][1]["message"],
        &history[0],
        &conversations[0]["last"],
    ] {
        assert_eq!(
            (&message["content"], &message["recalled_at"]),
            (&json!(""), &told["body"]["at"])
        );
    }

    assert_eq!(ann.call("send.recall", recall).await, Ok(Value::Null), "safe to repeat");
    bob.settle(&mut ann).await;
    assert_eq!(bob.heard("recalled"), Vec::<Value>::new());
    assert_eq!(
        send(&mut ann, &bob.user, "1", "regretted").await["message"],
        sent["message"],
        "a repeat sends nothing"
    );
}

#[tokio::test]
async fn who_was_away_is_given_a_recalled_message_without_its_content() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    let sent = send(&mut ann, &bob, "1", "regretted").await;
    ann.call("send.recall", json!({ "message": sent["message"] }))
        .await
        .expect("recalled");
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    let page = bob.call("pull-offline.pull", json!({})).await.expect("pulled");
    assert_eq!(each(&page["entries"], "/message/content"), ["", ""]);
}

#[tokio::test]
async fn only_its_sender_takes_a_message_back() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let sent = send(&mut ann, &bob.user, "1", "mine").await;
    let recall = json!({ "message": sent["message"] });
    assert_eq!(
        bob.call("send.recall", recall.clone()).await.expect_err("refused").code,
        "forbidden"
    );
    assert_eq!(
        carl.call("send.recall", recall).await.expect_err("refused").code,
        "not_found",
        "not even that it is there"
    );
    assert_eq!(
        ann.call("send.recall", json!({ "message": "1" }))
            .await
            .expect_err("refused")
            .code,
        "not_found"
    );
    let page = bob
        .call("pull-offline.pull", json!({ "since": "0" }))
        .await
        .expect("pulled");
    assert_eq!(each(&page["entries"], "/message/content"), ["mine"]);
}

#[tokio::test]
async fn a_message_is_not_taken_back_when_its_time_has_passed() {
    // The window ends with the millisecond in which the message was made.
    let node = Node::with(&calm_manifest().set("component.send.tool.mpim.config.recall-window-ms", 0));
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    let sent = send(&mut ann, &bob, "1", "for good").await;
    let recall = json!({ "message": sent["message"] });
    let error = ann.call("send.recall", recall.clone()).await.expect_err("refused");
    assert_eq!((error.code.as_str(), error.retryable), ("expired", false));
    assert_eq!(
        http::call(&node, "send", "recall", recall.to_string(), Some(&ann.token))
            .await
            .status,
        409
    );
    let history = ann
        .call("pull-offline.history", json!({ "conversation": sent["conversation"] }))
        .await
        .expect("found");
    assert_eq!(each(&history, "/content"), ["for good"]);
}
