//! What belongs to others: a caller who is outside reads nothing of it, changes nothing of it, and is not told more
//! than that.

use serde_json::{Value, json};

use super::refused;
use crate::harness::{Client, Node};

#[tokio::test]
async fn what_belongs_to_others_is_neither_read_nor_changed() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let mut bob = Client::register(&node, "bob").await;
    let mut eve = Client::register(&node, "eve").await;
    let message = json!({ "to": bob.user, "client_id": "1", "content": "secret" });
    let sent = ann.call("send.send-message", message).await.expect("sent");
    let group = json!({ "name": "closed", "join": "invite_only" });
    let group = ann.call("groups.create", group).await.expect("made")["id"].clone();
    let said = json!({ "group": group, "client_id": "2", "content": "secret too" });
    let said = ann.call("send.send-group-message", said).await.expect("said");
    let session = ann.call("login.sessions", json!({})).await.expect("listed")[0]["id"].clone();
    let (conversation, id) = (&sent["conversation"], &sent["message"]);
    for (method, params) in [
        ("pull-offline.history", json!({ "conversation": conversation })),
        (
            "pull-offline.history",
            json!({ "conversation": conversation, "after": "0" }),
        ),
        ("pull-offline.history", json!({ "conversation": group })),
        ("send.mark-read", json!({ "conversation": conversation, "up_to": "1" })),
        ("send.mark-read", json!({ "conversation": group, "up_to": "1" })),
        ("send.recall", json!({ "message": id })),
        ("send.recall", json!({ "message": said["message"] })),
        (
            "send.send-group-message",
            json!({ "group": group, "client_id": "3", "content": "x" }),
        ),
        ("group-pull.pull", json!({ "group": group })),
        ("group-pull.set-cursor", json!({ "group": group, "cursor": "1" })),
        ("groups.info", json!({ "group": group })),
        ("groups.members", json!({ "group": group })),
        ("groups.leave", json!({ "group": group })),
        ("groups.invite", json!({ "group": group, "users": [eve.user] })),
        ("groups.remove", json!({ "group": group, "user": ann.user })),
        (
            "groups.set-role",
            json!({ "group": group, "user": eve.user, "role": "admin" }),
        ),
        ("groups.transfer", json!({ "group": group, "user": bob.user })),
        ("login.revoke", json!({ "session": session })),
    ] {
        let error = refused(&node, &mut eve, method, &params.to_string()).await;
        assert_eq!(
            (error.code.as_str(), error.retryable),
            ("not_found", false),
            "{method} {params}: {error:?}"
        );
    }
    // That a group by invitation is there may be known to whom its id was given; that is all.
    let error = refused(&node, &mut eve, "groups.join", &json!({ "group": group }).to_string()).await;
    assert!(["not_found", "forbidden"].contains(&error.code.as_str()), "{error:?}");
    // What is left out rather than refused.
    let nothing = json!([]);
    assert_eq!(
        eve.call("send.status", json!({ "messages": [id] })).await,
        Ok(nothing.clone())
    );
    assert_eq!(
        eve.call("send.ack", json!({ "messages": [id, said["message"]] })).await,
        Ok(json!(0))
    );
    assert_eq!(
        eve.call("pull-offline.pull", json!({})).await.expect("pulled")["entries"],
        nothing
    );
    assert_eq!(
        eve.call("pull-offline.conversations", json!({})).await,
        Ok(nothing.clone())
    );
    assert_eq!(eve.call("group-pull.unread", json!({})).await, Ok(nothing));
    assert!(eve.heard("message").is_empty());
    // Nothing of it changed.
    let stands = ann
        .call("send.status", json!({ "messages": [id] }))
        .await
        .expect("read");
    assert_ne!(stands[0]["state"], "read");
    let history = bob
        .call("pull-offline.history", json!({ "conversation": conversation }))
        .await
        .expect("read");
    assert_eq!(history[0]["content"], "secret");
    let members = ann
        .call("groups.members", json!({ "group": group }))
        .await
        .expect("read");
    assert_eq!(members.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_id_that_nothing_has_is_not_found_and_no_fault() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    for id in [
        "0",
        "1",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
    ] {
        for (method, mut params, key) in [
            ("pull-offline.history", json!({}), "conversation"),
            ("send.mark-read", json!({ "up_to": id }), "conversation"),
            ("send.recall", json!({}), "message"),
            (
                "send.send-group-message",
                json!({ "client_id": "1", "content": "x" }),
                "group",
            ),
            ("group-pull.pull", json!({ "since": id }), "group"),
            ("group-pull.set-cursor", json!({ "cursor": id }), "group"),
            ("groups.join", json!({}), "group"),
            ("groups.leave", json!({}), "group"),
            ("groups.info", json!({}), "group"),
            ("groups.members", json!({ "after": id }), "group"),
            ("contacts.request", json!({}), "user"),
            ("contacts.accept", json!({}), "user"),
            ("contacts.remove", json!({}), "user"),
            ("contacts.block", json!({}), "user"),
            ("login.revoke", json!({}), "session"),
        ] {
            params[key] = id.into();
            let error = refused(&node, &mut ann, method, &params.to_string()).await;
            assert_eq!(error.code, "not_found", "{method} {params}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_place_past_the_end_is_refused_and_moves_nothing() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let mut bob = Client::register(&node, "bob").await;
    let message = json!({ "to": bob.user, "client_id": "1", "content": "x" });
    let sent = ann.call("send.send-message", message).await.expect("sent");
    let group = bob.call("groups.create", json!({ "name": "all" })).await.expect("made")["id"].clone();
    for place in ["2", "9223372036854775807", "18446744073709551615"] {
        for (method, params) in [
            ("pull-offline.pull", json!({ "since": place })),
            ("send.ack", json!({ "messages": [], "cursor": place })),
            (
                "send.mark-read",
                json!({ "conversation": sent["conversation"], "up_to": place }),
            ),
            ("group-pull.set-cursor", json!({ "group": group, "cursor": place })),
        ] {
            let error = refused(&node, &mut bob, method, &params.to_string()).await;
            assert_eq!(error.code, "invalid", "{method} {place}");
        }
    }
    let page: Value = bob.call("pull-offline.pull", json!({})).await.expect("pulled");
    assert_eq!(page["entries"][0]["message"]["id"], sent["message"]);
}
