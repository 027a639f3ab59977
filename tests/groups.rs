//! People in groups: how what they say reaches the others, below the threshold of members and above.

mod growth;
mod membership;
mod rights;

use serde_json::{Value, json};

use crate::chat::quality::impatient;
use crate::chat::{calm, calm_manifest, each};
use crate::harness::{Client, Node, http};

/// A node on which groups are read from so many members on.
fn node_with_threshold(members: u32) -> Node {
    let manifest = ["send", "groups"]
        .into_iter()
        .fold(calm_manifest(), |manifest, function| {
            manifest.set(
                &format!("component.{function}.tool.mpim.config.fan-out-threshold"),
                members,
            )
        });
    Node::with(&manifest)
}

/// Makes an open group. Gives its id.
async fn create(owner: &mut Client, name: &str) -> String {
    let group = owner
        .call("groups.create", json!({ "name": name }))
        .await
        .expect("made");
    group["id"].as_str().expect("an id").to_owned()
}

async fn join(client: &mut Client, group: &str) -> Value {
    client
        .call("groups.join", json!({ "group": group }))
        .await
        .expect("joined")
}

/// Says something that is accepted. Gives the receipt.
async fn say(from: &mut Client, group: &str, content: &str) -> Value {
    let params = json!({ "group": group, "client_id": content, "content": content });
    from.call("send.send-group-message", params).await.expect("accepted")
}

async fn inbox(client: &mut Client) -> Value {
    client
        .call("pull-offline.pull", json!({ "since": "0", "limit": 500 }))
        .await
        .expect("pulled")
}

async fn group_pull(client: &mut Client, params: Value) -> Value {
    client.call("group-pull.pull", params).await.expect("pulled")
}

async fn unread(client: &mut Client) -> Value {
    client.call("group-pull.unread", json!({})).await.expect("told")
}

/// The code of the error of a call that fails.
async fn refusal(client: &mut Client, method: &str, params: Value) -> String {
    let error = client.call(method, params.clone()).await.expect_err(method);
    assert!(!error.retryable, "{method} {params}");
    error.code
}

#[tokio::test]
async fn a_small_group_has_each_message_in_every_inbox() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let carl = http::register(&node, "carl").await;
    let mut desk = Client::login(&node, "ann", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let group = create(&mut ann, "friends").await;
    assert_eq!(join(&mut bob, &group).await["fan_out"], "write");
    ann.call("groups.invite", json!({ "group": group, "users": [carl] }))
        .await
        .expect("invited");
    let sent = say(&mut ann, &group, "hello").await;
    assert_eq!((&sent["conversation"], &sent["seq"]), (&json!(group), &json!("1")));

    let (heard, echo) = (bob.notified("message").await, desk.notified("message").await);
    assert_eq!((heard.get("cursor"), echo.get("cursor")), (Some(&json!("1")), None));
    for body in [&heard["body"], &echo["body"]] {
        assert_eq!(
            json!([body["id"], body["group"], body["sender"], body["content"]]),
            json!([sent["message"], group, ann.user, "hello"])
        );
        assert!(body.get("to").is_none());
    }
    let mut carl = Client::login(&node, "carl", "phone", None).await.expect("logged in");
    for client in [&mut bob, &mut carl] {
        let page = inbox(client).await;
        assert_eq!(
            each(&page["entries"], "/message/id"),
            std::slice::from_ref(&sent["message"])
        );
    }
    assert_eq!(
        inbox(&mut ann).await["entries"],
        json!([]),
        "one's own messages are not in the inbox"
    );
    ann.settle(&mut bob).await;
    assert_eq!(
        ann.heard("message"),
        Vec::<Value>::new(),
        "nor pushed to the connection that sent them"
    );
}

#[tokio::test]
async fn a_large_group_has_one_row_and_is_heard_live() {
    let node = node_with_threshold(3);
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let mut desk = Client::login(&node, "ann", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let group = create(&mut ann, "crowd").await;
    assert_eq!(join(&mut bob, &group).await["fan_out"], "write");
    assert_eq!(join(&mut carl, &group).await["fan_out"], "read");
    let sent = say(&mut ann, &group, "hello").await;
    for client in [&mut bob, &mut carl, &mut desk] {
        let heard = client.notified("message").await;
        assert_eq!((heard.get("cursor"), &heard["body"]["id"]), (None, &sent["message"]));
    }
    for client in [&mut bob, &mut carl] {
        assert_eq!(inbox(client).await["entries"], json!([]));
        let page = group_pull(client, json!({ "group": group })).await;
        assert_eq!(each(&page["messages"], "/content"), ["hello"]);
    }
    ann.settle(&mut bob).await;
    assert_eq!(
        ann.heard("message"),
        Vec::<Value>::new(),
        "not pushed to the connection that sent it"
    );
}

#[tokio::test]
async fn a_large_group_is_pulled_page_by_page_from_the_cursor_of_each_member() {
    let node = node_with_threshold(3);
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let group = create(&mut ann, "crowd").await;
    join(&mut bob, &group).await;
    join(&mut carl, &group).await;
    for number in 1..=5 {
        say(&mut ann, &group, &number.to_string()).await;
    }
    let page = group_pull(&mut bob, json!({ "group": group, "limit": 2 })).await;
    assert_eq!(
        json!([each(&page["messages"], "/seq"), page["next"], page["more"]]),
        json!([["1", "2"], "2", true])
    );
    let page = group_pull(&mut bob, json!({ "group": group, "since": "2", "limit": 3 })).await;
    assert_eq!(
        json!([each(&page["messages"], "/content"), page["next"], page["more"]]),
        json!([["3", "4", "5"], "5", false])
    );

    let behind =
        |cursor: &str, unread: &str| json!([{ "group": group, "last_seq": "5", "cursor": cursor, "unread": unread }]);
    assert_eq!(unread(&mut bob).await, behind("0", "5"), "a pull moves no cursor");
    for (cursor, expected) in [("3", behind("3", "2")), ("1", behind("3", "2")), ("5", json!([]))] {
        let moved = bob
            .call("group-pull.set-cursor", json!({ "group": group, "cursor": cursor }))
            .await;
        assert_eq!((moved, unread(&mut bob).await), (Ok(Value::Null), expected));
    }
    assert_eq!(
        unread(&mut carl).await,
        behind("0", "5"),
        "a cursor is that of its member"
    );
    let past = json!({ "group": group, "cursor": "6" });
    assert_eq!(refusal(&mut bob, "group-pull.set-cursor", past).await, "invalid");
    say(&mut ann, &group, "6").await;
    let page = group_pull(&mut bob, json!({ "group": group })).await;
    assert_eq!(
        each(&page["messages"], "/content"),
        ["6"],
        "from the cursor, unless said otherwise"
    );
}

#[tokio::test]
async fn a_device_is_not_given_again_what_it_acknowledged_exactly_once_in_a_large_group() {
    let node = node_with_threshold(2);
    let (mut ann, mut phone) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut desk = Client::login(&node, "bob", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let group = create(&mut ann, "crowd").await;
    join(&mut phone, &group).await;
    let params = json!({ "group": group, "client_id": "1", "content": "once", "qos": "exactly_once" });
    let once = ann.call("send.send-group-message", params).await.expect("accepted");
    say(&mut ann, &group, "often").await;
    phone
        .call("send.ack", json!({ "messages": [once["message"]] }))
        .await
        .expect("acknowledged");
    let (given, other) = (
        group_pull(&mut phone, json!({ "group": group, "since": "0" })).await,
        group_pull(&mut desk, json!({ "group": group, "since": "0" })).await,
    );
    assert_eq!(
        (each(&given["messages"], "/content"), &given["next"]),
        (vec![json!("often")], &json!("2"))
    );
    assert_eq!(each(&other["messages"], "/content"), ["once", "often"]);
}

#[tokio::test]
async fn a_group_is_a_conversation_of_its_members() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let group = create(&mut ann, "friends").await;
    join(&mut bob, &group).await;
    say(&mut ann, &group, "one").await;
    say(&mut ann, &group, "two").await;
    let seen = bob.call("pull-offline.conversations", json!({})).await.expect("listed");
    let seen = &seen[0];
    assert_eq!(
        json!([
            seen["id"],
            seen["group"],
            seen["last"]["content"],
            seen["unread"],
            seen["read_seq"]
        ]),
        json!([group, group, "two", 2, "0"])
    );
    assert!(seen.get("peer").is_none() && seen.get("peer_read_seq").is_none());
    let history = bob
        .call("pull-offline.history", json!({ "conversation": group }))
        .await
        .expect("found");
    assert_eq!(each(&history, "/content"), ["two", "one"]);
    bob.call("send.mark-read", json!({ "conversation": group, "up_to": "2" }))
        .await
        .expect("read");
    let seen = bob.call("pull-offline.conversations", json!({})).await.expect("listed");
    assert_eq!(each(&seen, "/unread"), [0]);
    assert_eq!(unread(&mut bob).await, json!([]), "what was read is behind the cursor");
}

#[tokio::test]
async fn a_repeat_in_a_group_has_the_first_receipt_and_says_nothing() {
    for threshold in [3, 2] {
        let node = node_with_threshold(threshold);
        let (mut ann, mut bob) = (
            Client::register(&node, "ann").await,
            Client::register(&node, "bob").await,
        );
        let group = create(&mut ann, "friends").await;
        join(&mut bob, &group).await;
        let first = say(&mut ann, &group, "hello").await;
        assert_eq!(say(&mut ann, &group, "hello").await["message"], first["message"]);
        let other = json!({ "group": group, "client_id": "hello", "content": "other" });
        assert_eq!(
            refusal(&mut ann, "send.send-group-message", other).await,
            "client_id_reused"
        );
        bob.notified("message").await;
        bob.settle(&mut ann).await;
        assert_eq!(bob.heard("message"), Vec::<Value>::new());
        let page = group_pull(&mut bob, json!({ "group": group, "since": "0" })).await;
        assert_eq!(each(&page["messages"], "/id"), [first["message"].clone()]);
    }
}

#[tokio::test]
async fn a_recall_in_a_group_reaches_every_member() {
    for threshold in [3, 2] {
        let node = node_with_threshold(threshold);
        let (mut ann, mut bob) = (
            Client::register(&node, "ann").await,
            Client::register(&node, "bob").await,
        );
        let group = create(&mut ann, "friends").await;
        join(&mut bob, &group).await;
        let sent = say(&mut ann, &group, "regretted").await;
        let recall = json!({ "message": sent["message"] });
        assert_eq!(refusal(&mut bob, "send.recall", recall.clone()).await, "forbidden");
        ann.call("send.recall", recall).await.expect("recalled");
        let told = bob.notified("recalled").await;
        assert_eq!(
            (told.get("cursor").is_some(), &told["body"]["message"]),
            (threshold == 3, &sent["message"])
        );
        let page = group_pull(&mut bob, json!({ "group": group, "since": "0" })).await;
        assert_eq!(each(&page["messages"], "/content"), [""]);
        let inbox = inbox(&mut bob).await;
        let expected: &[&str] = if threshold == 3 { &["message", "recall"] } else { &[] };
        assert_eq!(each(&inbox["entries"], "/kind"), expected);
    }
}

#[tokio::test]
async fn who_was_away_is_told_how_far_the_inbox_reaches() {
    let node = impatient();
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    let group = create(&mut ann, "friends").await;
    let invite = json!({ "group": group, "users": [bob] });
    ann.call("groups.invite", invite).await.expect("invited");
    let sent = say(&mut ann, &group, "missed").await;
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    let told = bob.notified("pending").await;
    assert_eq!(told, json!({ "cursor": "1", "body": { "conversation": group } }));
    let page = inbox(&mut bob).await;
    assert_eq!(
        each(&page["entries"], "/message/id"),
        std::slice::from_ref(&sent["message"])
    );
}
