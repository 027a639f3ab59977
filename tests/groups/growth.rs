//! A group grows past the threshold, and shrinks again, while its members talk.

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{create, each, group_pull, inbox, join, node_with_threshold, say};
use crate::harness::{Client, http};

#[tokio::test]
async fn nothing_is_lost_when_a_group_grows_past_the_threshold() {
    let node = node_with_threshold(3);
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let group = create(&mut ann, "growing").await;
    join(&mut bob, &group).await;
    let token = bob.token.clone();
    drop(bob);
    say(&mut ann, &group, "small").await;
    join(&mut carl, &group).await;
    say(&mut ann, &group, "large").await;
    carl.call("groups.leave", json!({ "group": group }))
        .await
        .expect("left");
    assert_eq!(say(&mut ann, &group, "small again").await["seq"], "3");

    let mut bob = Client::resume(&node, &token).await.expect("resumed");
    let missed = inbox(&mut bob).await;
    assert_eq!(each(&missed["entries"], "/message/content"), ["small", "small again"]);
    assert_eq!(each(&missed["entries"], "/cursor"), ["1", "2"]);
    let page = group_pull(&mut bob, json!({ "group": group })).await;
    assert_eq!(each(&page["messages"], "/content"), ["small", "large", "small again"]);
    assert_eq!(each(&page["messages"], "/seq"), ["1", "2", "3"]);
}

#[tokio::test]
async fn what_is_said_while_members_come_and_go_is_heard_once_by_who_stays() {
    const COUNT: u32 = 40;
    let node = node_with_threshold(3);
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let group = create(&mut ann, "growing").await;
    join(&mut bob, &group).await;
    let talks = async {
        for number in 1..=COUNT {
            say_at_last(&mut ann, &group, &number.to_string()).await;
        }
    };
    let comes_and_goes = async {
        for _ in 0..10 {
            for method in ["groups.join", "groups.leave"] {
                carl.call(method, json!({ "group": group })).await.expect(method);
            }
        }
    };
    tokio::join!(talks, comes_and_goes);

    let all: Vec<String> = (1..=COUNT).map(|number| number.to_string()).collect();
    let page = group_pull(&mut bob, json!({ "group": group, "since": "0" })).await;
    assert_eq!(each(&page["messages"], "/content"), all);
    assert_eq!(each(&page["messages"], "/seq"), all, "places have no gaps");
    bob.settle(&mut ann).await;
    let heard = bob.heard("message");
    assert_eq!(
        heard
            .iter()
            .map(|heard| heard["body"]["content"].clone())
            .collect::<Vec<_>>(),
        all
    );
    let kept = each(&inbox(&mut bob).await["entries"], "/message/content");
    let with_place = heard
        .iter()
        .filter(|heard| heard.get("cursor").is_some())
        .map(|heard| heard["body"]["content"].clone());
    assert_eq!(
        kept,
        with_place.collect::<Vec<_>>(),
        "what was pushed with a place is what the inbox has"
    );
    let ids: BTreeSet<String> = each(&page["messages"], "/id").iter().map(Value::to_string).collect();
    assert_eq!(ids.len(), all.len());
}

/// Repeats a message until it is accepted, as a client does.
async fn say_at_last(from: &mut Client, group: &str, content: &str) {
    let params = json!({ "group": group, "client_id": content, "content": content });
    while let Err(error) = from.call("send.send-group-message", params.clone()).await {
        assert!(error.retryable, "{error:?}");
    }
}

#[tokio::test]
async fn who_joins_while_others_talk_misses_nothing_from_then_on() {
    let node = node_with_threshold(100);
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let group = create(&mut ann, "lively").await;
    join(&mut bob, &group).await;
    let mut tokens = Vec::new();
    for number in 0..12 {
        let name = format!("newcomer {number}");
        http::register(&node, &name).await;
        tokens.push(http::login(&node, &name, "phone").await);
    }
    let this = json!({ "group": group });
    let stop = Cell::new(false);
    let talks = async |from: &mut Client| {
        let mut number = 0;
        while !stop.get() {
            number += 1;
            say_at_last(from, &group, &number.to_string()).await;
        }
    };
    let joins = async {
        for token in &tokens {
            http::done(&node, "groups", "join", &this, Some(token)).await;
        }
        stop.set(true);
    };
    tokio::join!(talks(&mut ann), talks(&mut bob), joins);
    say(&mut ann, &group, "the last").await;

    for token in &tokens {
        let mut newcomer = Client::resume(&node, token).await.expect("resumed");
        let inbox = inbox(&mut newcomer).await;
        let page = group_pull(&mut newcomer, json!({ "group": group, "since": "0", "limit": 500 })).await;
        assert_eq!((&inbox["more"], &page["more"]), (&json!(false), &json!(false)));
        assert_eq!(each(&inbox["entries"], "/message/seq"), each(&page["messages"], "/seq"));
        assert!(each(&page["messages"], "/content").contains(&json!("the last")));
    }
}

#[tokio::test]
async fn a_new_member_sees_only_what_was_said_since_joining() {
    for threshold in [100, 2] {
        let node = node_with_threshold(threshold);
        let mut ann = Client::register(&node, "ann").await;
        let (mut bob, mut carl) = (
            Client::register(&node, "bob").await,
            Client::register(&node, "carl").await,
        );
        let group = create(&mut ann, "friends").await;
        join(&mut bob, &group).await;
        say(&mut ann, &group, "before").await;
        join(&mut carl, &group).await;
        assert_eq!(super::unread(&mut carl).await, json!([]));
        say(&mut ann, &group, "after").await;
        for since in [json!("0"), Value::Null] {
            let page = group_pull(&mut carl, json!({ "group": group, "since": since })).await;
            assert_eq!(each(&page["messages"], "/content"), ["after"]);
        }
        let history = carl
            .call("pull-offline.history", json!({ "conversation": group }))
            .await
            .expect("found");
        assert_eq!(each(&history, "/content"), ["after"]);
        assert_eq!(each(&super::unread(&mut carl).await, "/unread"), ["1"]);
        let conversations = carl
            .call("pull-offline.conversations", json!({}))
            .await
            .expect("listed");
        assert_eq!(each(&conversations, "/unread"), [1]);
        let inbox = inbox(&mut carl).await;
        let expected: &[&str] = if threshold == 100 { &["after"] } else { &[] };
        assert_eq!(each(&inbox["entries"], "/message/content"), expected);
    }
}

#[tokio::test]
async fn who_joins_or_is_invited_while_connected_hears_at_once() {
    let node = node_with_threshold(2);
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let mut desk = Client::login(&node, "bob", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let group = create(&mut ann, "crowd").await;
    join(&mut bob, &group).await;
    ann.call("groups.invite", json!({ "group": group, "users": [carl.user] }))
        .await
        .expect("invited");
    say(&mut ann, &group, "hello").await;
    for client in [&mut bob, &mut desk, &mut carl] {
        assert_eq!(client.notified("message").await["body"]["content"], "hello");
    }
    let mut later = Client::login(&node, "carl", "desk", Some("desktop"))
        .await
        .expect("logged in");
    say(&mut ann, &group, "to devices that came later, too").await;
    assert_eq!(
        later.notified("message").await["body"]["content"],
        "to devices that came later, too"
    );
}

#[tokio::test]
async fn a_former_member_hears_and_pulls_nothing() {
    for (threshold, end) in [(100, "removed"), (2, "removed"), (100, "left"), (2, "left")] {
        let node = node_with_threshold(threshold);
        let mut ann = Client::register(&node, "ann").await;
        let (mut bob, mut carl) = (
            Client::register(&node, "bob").await,
            Client::register(&node, "carl").await,
        );
        let group = create(&mut ann, "friends").await;
        join(&mut bob, &group).await;
        join(&mut carl, &group).await;
        match end {
            "removed" => {
                ann.call("groups.remove", json!({ "group": group, "user": bob.user }))
                    .await
                    .expect("removed");
                let told = bob.notified("group").await;
                assert_eq!(told["body"]["user"], carl.user, "first that carl came");
                let told = bob.notified("group").await["body"].clone();
                assert_eq!(
                    json!([told["change"], told["user"], told["by"]]),
                    json!(["removed", bob.user, ann.user])
                );
            }
            _ => drop(bob.call("groups.leave", json!({ "group": group })).await.expect("left")),
        }
        say(&mut ann, &group, "without bob").await;
        assert_eq!(carl.notified("message").await["body"]["content"], "without bob");
        bob.settle(&mut ann).await;
        assert_eq!(bob.heard("message"), Vec::<Value>::new(), "{threshold} {end}");
        assert_eq!(inbox(&mut bob).await["entries"], json!([]));
        for (method, params) in [
            ("group-pull.pull", json!({ "group": group, "since": "0" })),
            ("group-pull.set-cursor", json!({ "group": group, "cursor": "0" })),
            ("pull-offline.history", json!({ "conversation": group })),
            ("send.mark-read", json!({ "conversation": group, "up_to": "0" })),
            (
                "send.send-group-message",
                json!({ "group": group, "client_id": "1", "content": "still here?" }),
            ),
        ] {
            assert_eq!(super::refusal(&mut bob, method, params).await, "not_found", "{method}");
        }
        for method in ["groups.mine", "group-pull.unread"] {
            assert_eq!(bob.call(method, json!({})).await, Ok(json!([])), "{method}");
        }
        let seen = bob.call("pull-offline.conversations", json!({})).await.expect("listed");
        let groups = seen
            .as_array()
            .expect("a list")
            .iter()
            .filter(|seen| seen["group"] == group);
        assert_eq!(groups.count(), 0);
        let mut again = Client::resume(&node, &bob.token).await.expect("resumed");
        say(&mut ann, &group, "nor on a new connection").await;
        again.settle(&mut ann).await;
        assert_eq!(again.heard("message"), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn who_is_away_is_invited_and_finds_what_was_said() {
    for threshold in [100, 2] {
        let node = node_with_threshold(threshold);
        let mut ann = Client::register(&node, "ann").await;
        let bob = http::register(&node, "bob").await;
        let group = create(&mut ann, "friends").await;
        let invited = ann
            .call("groups.invite", json!({ "group": group, "users": [bob] }))
            .await
            .expect("invited");
        assert_eq!(invited, json!([bob]));
        say(&mut ann, &group, "hello").await;
        let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
        let page = group_pull(&mut bob, json!({ "group": group })).await;
        assert_eq!(each(&page["messages"], "/content"), ["hello"]);
        assert_eq!(
            inbox(&mut bob).await["entries"].as_array().map(Vec::len),
            Some(usize::from(threshold == 100))
        );
    }
}
