//! Who belongs to a group, and how the others hear of it.

use serde_json::{Value, json};

use super::{create, each, join, refusal};
use crate::chat::calm;
use crate::harness::{Client, http};

#[tokio::test]
async fn members_are_listed_by_user_id_page_by_page() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let group = create(&mut ann, "friends").await;
    let mut users = vec![ann.user.clone()];
    for name in ["bob", "carl", "dora", "eve"] {
        users.push(http::register(&node, name).await);
    }
    ann.call("groups.invite", json!({ "group": group, "users": users }))
        .await
        .expect("invited");
    users.sort_by_key(|user| user.parse::<u64>().expect("a number"));
    let whole = ann
        .call("groups.members", json!({ "group": group }))
        .await
        .expect("listed");
    assert_eq!(each(&whole, "/user"), users);
    let mut seen = Vec::new();
    for expected in [2, 2, 1, 0] {
        let params = json!({ "group": group, "after": seen.last(), "limit": 2 });
        let page = each(&ann.call("groups.members", params).await.expect("listed"), "/user");
        assert_eq!(page.len(), expected);
        seen.extend(page);
    }
    assert_eq!(seen, users);
}

#[tokio::test]
async fn the_own_groups_are_listed_by_id() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut groups = Vec::new();
    for name in ["one", "two", "three"] {
        groups.push(create(&mut ann, name).await);
    }
    join(&mut bob, &groups[2]).await;
    join(&mut bob, &groups[0]).await;
    let (anns, bobs) = (
        ann.call("groups.mine", json!({})).await.expect("listed"),
        bob.call("groups.mine", json!({})).await.expect("listed"),
    );
    assert_eq!(each(&anns, "/name"), ["one", "two", "three"]);
    assert_eq!(each(&bobs, "/id"), [groups[0].as_str(), groups[2].as_str()]);
    assert_eq!(each(&bobs, "/members"), [2, 2]);
    assert_eq!(each(&bobs, "/owner"), [ann.user.as_str(), ann.user.as_str()]);
}

#[tokio::test]
async fn an_invitation_leaves_out_who_cannot_be_added() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut hermit = Client::register(&node, "hermit").await;
    let carl = http::register(&node, "carl").await;
    let group = create(&mut ann, "friends").await;
    join(&mut bob, &group).await;
    hermit
        .call("contacts.block", json!({ "user": ann.user }))
        .await
        .expect("blocked");
    let users = json!({ "group": group, "users": [bob.user, "1", hermit.user, carl, carl] });
    assert_eq!(ann.call("groups.invite", users).await, Ok(json!([carl])));
    assert_eq!(
        ann.call("groups.info", json!({ "group": group })).await.expect("told")["members"],
        3
    );
    let many: Vec<String> = (0..501).map(|id: u32| id.to_string()).collect();
    assert_eq!(
        refusal(&mut ann, "groups.invite", json!({ "group": group, "users": many })).await,
        "too_large"
    );
}

#[tokio::test]
async fn members_hear_of_every_change() {
    let node = calm();
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut carl = Client::register(&node, "carl").await;
    let group = create(&mut ann, "friends").await;
    join(&mut bob, &group).await;
    let (a, b, c) = (ann.user.clone(), bob.user.clone(), carl.user.clone());
    let of = |user: &str| json!({ "group": group, "user": user });
    let steps = [
        ("groups.invite", json!({ "group": group, "users": [c] })),
        ("groups.set-role", json!({ "group": group, "user": c, "role": "admin" })),
        ("groups.remove", of(&c)),
    ];
    for (method, params) in steps {
        ann.call(method, params).await.expect(method);
    }
    join(&mut carl, &group).await;
    carl.call("groups.leave", json!({ "group": group }))
        .await
        .expect("left");
    ann.call("groups.transfer", of(&b)).await.expect("transferred");

    let expected = [
        ("invited", &c, &a),
        ("role_changed", &c, &a),
        ("removed", &c, &a),
        ("joined", &c, &c),
        ("left", &c, &c),
    ];
    let expected: Vec<Value> = expected
        .iter()
        .map(|(change, user, by)| json!([group, change, user, by]))
        .collect();
    bob.settle(&mut ann).await;
    let mut heard: Vec<Value> = bob.heard("group").into_iter().map(|told| what(&told)).collect();
    assert_eq!(heard.pop(), Some(json!([group, "transferred", b, a])));
    assert_eq!(heard, expected);
    carl.settle(&mut ann).await;
    let heard: Vec<Value> = carl.heard("group").into_iter().map(|told| what(&told)).collect();
    assert_eq!(
        heard,
        expected[..3],
        "who did something knows it, and who left hears no more"
    );
}

fn what(told: &Value) -> Value {
    let body = &told["body"];
    json!([body["group"], body["change"], body["user"], body["by"]])
}
