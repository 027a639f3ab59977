//! Conversations: what was said before, what is unread.

use serde_json::{Value, json};

use super::{calm, each, send};
use crate::harness::{Client, http};

async fn conversations(client: &mut Client) -> Value {
    client
        .call("pull-offline.conversations", json!({}))
        .await
        .expect("listed")
}

#[tokio::test]
async fn history_goes_both_ways_from_a_place() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    let mut conversation = Value::Null;
    for number in 1..=5 {
        conversation = send(&mut ann, &bob, &number.to_string(), &format!("{number}")).await["conversation"].clone();
    }
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    for (params, expected) in [
        (json!({}), vec!["5", "4", "3", "2", "1"]),
        (json!({ "limit": 2 }), vec!["5", "4"]),
        (json!({ "before": "4" }), vec!["3", "2", "1"]),
        (json!({ "before": "4", "limit": 2 }), vec!["3", "2"]),
        (json!({ "after": "2" }), vec!["3", "4", "5"]),
        (json!({ "after": "2", "limit": 2 }), vec!["3", "4"]),
        (json!({ "after": "5" }), vec![]),
        (json!({ "before": "1" }), vec![]),
    ] {
        let mut params = params;
        params["conversation"] = conversation.clone();
        for client in [&mut ann, &mut bob] {
            let found = client
                .call("pull-offline.history", params.clone())
                .await
                .expect("found");
            assert_eq!(each(&found, "/seq"), expected, "{params}");
            assert_eq!(each(&found, "/content"), expected, "{params}");
        }
    }
    let both = json!({ "conversation": conversation, "before": "4", "after": "1" });
    assert_eq!(
        ann.call("pull-offline.history", both).await.expect_err("refused").code,
        "invalid"
    );
}

#[tokio::test]
async fn a_page_of_history_has_fifty_messages_unless_said_otherwise_and_two_hundred_at_most() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    let mut begun = Vec::new();
    for number in 1..=201 {
        let params = json!({ "to": bob, "client_id": number.to_string(), "content": "hello" });
        begun.push(ann.begin("send.send-message", params).await);
    }
    let mut conversation = Value::Null;
    for call in begun {
        conversation = ann.answer(call).await.expect("accepted")["conversation"].clone();
    }
    for (limit, count) in [(Value::Null, 50), (json!(500), 200)] {
        let params = json!({ "conversation": conversation, "limit": limit });
        let found = ann.call("pull-offline.history", params).await.expect("found");
        assert_eq!(found.as_array().map(Vec::len), Some(count));
    }
}

#[tokio::test]
async fn a_conversation_is_for_its_users_alone() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let mut carl = Client::register(&node, "carl").await;
    let bob = http::register(&node, "bob").await;
    let conversation = send(&mut ann, &bob, "1", "between us").await["conversation"].clone();
    for conversation in [conversation, json!("1")] {
        let history = json!({ "conversation": conversation });
        assert_eq!(
            carl.call("pull-offline.history", history)
                .await
                .expect_err("refused")
                .code,
            "not_found"
        );
        let read = json!({ "conversation": conversation, "up_to": "1" });
        assert_eq!(
            carl.call("send.mark-read", read).await.expect_err("refused").code,
            "not_found"
        );
    }
    assert_eq!(conversations(&mut carl).await, json!([]));
}

#[tokio::test]
async fn conversations_tell_what_was_last_and_what_is_unread() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let with_ann = send(&mut ann, &bob.user, "1", "one").await["conversation"].clone();
    let with_carl = send(&mut carl, &bob.user, "1", "from carl").await["conversation"].clone();
    send(&mut ann, &bob.user, "2", "two").await;
    send(&mut bob, &ann.user, "1", "three").await;

    let seen = conversations(&mut bob).await;
    assert_eq!(
        each(&seen, "/id"),
        [with_ann.clone(), with_carl.clone()],
        "the latest active is the first"
    );
    assert_eq!(each(&seen, "/peer"), [ann.user.as_str(), carl.user.as_str()]);
    assert_eq!(each(&seen, "/last/content"), ["three", "from carl"]);
    assert_eq!(each(&seen, "/last_seq"), ["3", "1"]);
    assert_eq!(each(&seen, "/unread"), [2, 1], "what one sent oneself is not unread");
    assert!(seen[0].get("group").is_none());

    let read = json!({ "conversation": with_ann, "up_to": "3" });
    assert_eq!(bob.call("send.mark-read", read).await, Ok(json!(2)));
    let seen = conversations(&mut bob).await;
    assert_eq!(
        (each(&seen, "/unread"), each(&seen, "/read_seq")),
        (vec![json!(0), json!(1)], vec![json!("3"), json!("0")])
    );
    let seen = conversations(&mut ann).await;
    assert_eq!(
        (&seen[0]["unread"], &seen[0]["peer_read_seq"]),
        (&json!(1), &json!("3"))
    );

    let one = bob
        .call("pull-offline.conversations", json!({ "limit": 1 }))
        .await
        .expect("listed");
    assert_eq!(each(&one, "/id"), std::slice::from_ref(&with_ann));
    let past = json!({ "conversation": with_ann, "up_to": "4" });
    assert_eq!(
        bob.call("send.mark-read", past).await.expect_err("refused").code,
        "invalid"
    );
}

#[tokio::test]
async fn status_tells_of_own_messages_alone() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let (own, other) = (
        send(&mut ann, &bob.user, "1", "mine").await,
        send(&mut bob, &ann.user, "1", "yours").await,
    );
    let asked = json!({ "messages": ["1", other["message"], own["message"], own["message"]] });
    let told = ann.call("send.status", asked).await.expect("told");
    assert_eq!(each(&told, "/message"), [own["message"].clone()]);
    for key in ["conversation", "seq", "created_at"] {
        assert_eq!(told[0][key], own[key]);
    }
    let many: Vec<String> = (0..1001).map(|id: u32| id.to_string()).collect();
    assert_eq!(
        ann.call("send.status", json!({ "messages": many }))
            .await
            .expect_err("refused")
            .code,
        "too_large"
    );
}
