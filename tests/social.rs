//! People know each other: contacts, blocks, and who is online.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::chat::{calm, calm_manifest, each};
use crate::harness::{Client, Node, http, within};

async fn call(client: &mut Client, method: &str, user: &str) -> Value {
    client.call(method, json!({ "user": user })).await.expect(method)
}

async fn refusal(client: &mut Client, method: &str, user: &str) -> String {
    client
        .call(method, json!({ "user": user }))
        .await
        .expect_err(method)
        .code
}

/// The contacts of a client: user, name and state of each.
async fn contacts(client: &mut Client) -> Value {
    let listed = client.call("contacts.list", json!({})).await.expect("listed");
    let listed = listed.as_array().expect("a list").iter();
    listed
        .map(|contact| json!([contact["user"], contact["name"], contact["state"]]))
        .collect()
}

/// The next change of a contact that is told: who made it and what it is.
async fn told(client: &mut Client) -> Value {
    let body = client.notified("contact").await["body"].clone();
    json!([body["user"], body["change"]])
}

async fn pair(node: &Node) -> (Client, Client) {
    (Client::register(node, "ann").await, Client::register(node, "bob").await)
}

/// Makes two users contacts.
async fn befriend(one: &mut Client, other: &mut Client) {
    assert_eq!(call(one, "contacts.request", &other.user).await, "requested");
    assert_eq!(call(other, "contacts.request", &one.user).await, "accepted");
}

#[tokio::test]
async fn a_request_is_told_and_accepted() {
    let node = calm();
    let (mut ann, mut bob) = pair(&node).await;
    assert_eq!(call(&mut ann, "contacts.request", &bob.user).await, "requested");
    assert_eq!(told(&mut bob).await, json!([ann.user, "requested"]));
    assert_eq!(contacts(&mut ann).await, json!([[bob.user, "bob", "requested"]]));
    assert_eq!(contacts(&mut bob).await, json!([[ann.user, "ann", "incoming"]]));
    assert_eq!(
        refusal(&mut ann, "contacts.accept", &bob.user).await,
        "not_found",
        "not one's own request"
    );
    call(&mut bob, "contacts.accept", &ann.user).await;
    assert_eq!(told(&mut ann).await, json!([bob.user, "accepted"]));
    assert_eq!(contacts(&mut ann).await, json!([[bob.user, "bob", "accepted"]]));
    assert_eq!(contacts(&mut bob).await, json!([[ann.user, "ann", "accepted"]]));
}

#[tokio::test]
async fn a_repeated_request_changes_and_tells_nothing() {
    let node = calm();
    let (mut ann, mut bob) = pair(&node).await;
    for _ in 0..2 {
        assert_eq!(call(&mut ann, "contacts.request", &bob.user).await, "requested");
    }
    call(&mut bob, "contacts.accept", &ann.user).await;
    assert_eq!(call(&mut ann, "contacts.request", &bob.user).await, "accepted");
    bob.settle(&mut ann).await;
    assert_eq!(bob.heard("contact").len(), 1);
}

#[tokio::test]
async fn two_who_ask_each_other_are_contacts_at_once() {
    let node = calm();
    let (mut ann, mut bob) = pair(&node).await;
    let (a, b) = (ann.user.clone(), bob.user.clone());
    let (one, other) = tokio::join!(
        call(&mut ann, "contacts.request", &b),
        call(&mut bob, "contacts.request", &a)
    );
    let mut answers = [one, other];
    answers.sort_by_key(Value::to_string);
    assert_eq!(answers, ["accepted", "requested"]);
    assert_eq!(contacts(&mut ann).await, json!([[b, "bob", "accepted"]]));
    assert_eq!(contacts(&mut bob).await, json!([[a, "ann", "accepted"]]));
}

#[tokio::test]
async fn a_declined_request_is_gone_and_may_be_made_again() {
    let node = calm();
    let (mut ann, mut bob) = pair(&node).await;
    call(&mut ann, "contacts.request", &bob.user).await;
    call(&mut bob, "contacts.decline", &ann.user).await;
    assert_eq!(told(&mut ann).await, json!([bob.user, "declined"]));
    for client in [&mut ann, &mut bob] {
        assert_eq!(contacts(client).await, json!([]));
    }
    assert_eq!(refusal(&mut bob, "contacts.accept", &ann.user).await, "not_found");
    assert_eq!(refusal(&mut bob, "contacts.decline", &ann.user).await, "not_found");
    assert_eq!(call(&mut ann, "contacts.request", &bob.user).await, "requested");
}

#[tokio::test]
async fn a_contact_ends_for_both_sides() {
    let node = calm();
    let (mut ann, mut bob) = pair(&node).await;
    befriend(&mut ann, &mut bob).await;
    call(&mut ann, "contacts.remove", &bob.user).await;
    assert_eq!(told(&mut bob).await, json!([ann.user, "requested"]));
    assert_eq!(told(&mut bob).await, json!([ann.user, "removed"]));
    for client in [&mut ann, &mut bob] {
        assert_eq!(contacts(client).await, json!([]));
    }
    assert_eq!(refusal(&mut bob, "contacts.remove", &ann.user).await, "not_found");
    // A request is taken back the same way; what the other asked is declined, not removed.
    call(&mut ann, "contacts.request", &bob.user).await;
    assert_eq!(refusal(&mut bob, "contacts.remove", &ann.user).await, "not_found");
    call(&mut ann, "contacts.remove", &bob.user).await;
    assert_eq!(contacts(&mut bob).await, json!([]));
}

#[tokio::test]
async fn contacts_are_listed_by_user_id_page_by_page() {
    let node = calm();
    let mut ann = Client::register(&node, "ann").await;
    let mut others = Vec::new();
    for name in ["bob", "carl", "dora"] {
        let other = http::register(&node, name).await;
        call(&mut ann, "contacts.request", &other).await;
        others.push(other);
    }
    others.sort_by_key(|user| user.parse::<u64>().expect("a number"));
    let mut seen = Vec::new();
    for expected in [2, 1, 0] {
        let params = json!({ "after": seen.last(), "limit": 2 });
        let page = each(&ann.call("contacts.list", params).await.expect("listed"), "/user");
        assert_eq!(page.len(), expected);
        seen.extend(page);
    }
    assert_eq!(seen, others);
}

#[tokio::test]
async fn who_is_blocked_cannot_ask_and_is_not_told() {
    let node = calm();
    let (mut ann, mut bob) = pair(&node).await;
    for _ in 0..2 {
        call(&mut bob, "contacts.block", &ann.user).await;
    }
    assert_eq!(bob.call("contacts.blocked", json!({})).await, Ok(json!([ann.user])));
    assert_eq!(refusal(&mut ann, "contacts.request", &bob.user).await, "blocked");
    assert_eq!(contacts(&mut bob).await, json!([]));
    let mut carl = Client::register(&node, "carl").await;
    ann.settle(&mut carl).await;
    assert_eq!(ann.heard("contact"), Vec::<Value>::new());
    assert_eq!(
        ann.call("contacts.blocked", json!({})).await,
        Ok(json!([])),
        "a block is of one side"
    );

    for _ in 0..2 {
        call(&mut bob, "contacts.unblock", &ann.user).await;
    }
    assert_eq!(bob.call("contacts.blocked", json!({})).await, Ok(json!([])));
    assert_eq!(call(&mut ann, "contacts.request", &bob.user).await, "requested");
}

#[tokio::test]
async fn the_list_says_whom_the_caller_has_blocked() {
    let node = calm();
    let (mut ann, bob) = pair(&node).await;
    call(&mut ann, "contacts.block", &bob.user).await;
    call(&mut ann, "contacts.request", &bob.user).await;
    let listed = ann.call("contacts.list", json!({})).await.expect("listed");
    assert_eq!(
        (each(&listed, "/user"), each(&listed, "/blocked")),
        (vec![json!(bob.user)], vec![json!(true)])
    );
}

#[tokio::test]
async fn a_user_is_found_by_the_whole_name_without_regard_to_case() {
    let node = calm();
    let (mut ann, bob) = pair(&node).await;
    let find = |name: &str| json!({ "name": name });
    let found = ann.call("contacts.find", find("BoB")).await;
    assert_eq!(found, Ok(json!({ "id": bob.user, "name": "bob" })));
    for name in ["bo", "bobb", "%"] {
        assert_eq!(
            ann.call("contacts.find", find(name)).await.expect_err("none").code,
            "not_found",
            "{name}"
        );
    }
}

#[tokio::test]
async fn nobody_has_a_contact_with_oneself_or_with_nobody() {
    let node = calm();
    let (mut ann, _bob) = pair(&node).await;
    let me = ann.user.clone();
    for method in ["contacts.request", "contacts.block"] {
        assert_eq!(refusal(&mut ann, method, &me).await, "invalid", "{method}");
        assert_eq!(refusal(&mut ann, method, "1").await, "not_found", "{method}");
    }
}

/// What was heard of presence: the user and whether they are online.
fn presences(client: &mut Client) -> Vec<Value> {
    client
        .heard("presence")
        .iter()
        .map(|heard| json!([heard["body"]["user"], heard["body"]["online"]]))
        .collect()
}

async fn status(client: &mut Client, user: &str) -> Value {
    call(client, "presence.get-status", user).await
}

/// Waits until a user is online on these device classes.
async fn online_on(client: &mut Client, user: &str, classes: &[&str]) {
    within("a change of presence", async {
        while status(client, user).await["device_classes"] != json!(classes) {}
    })
    .await;
}

#[tokio::test]
async fn contacts_hear_once_that_a_user_came_and_once_that_the_user_went() {
    let node = calm();
    let (mut ann, mut bob) = pair(&node).await;
    let mut stranger = Client::register(&node, "carl").await;
    let mut desk = Client::login(&node, "bob", "desk", Some("desktop"))
        .await
        .expect("logged in");
    befriend(&mut ann, &mut bob).await;
    let user = ann.user.clone();
    ann.drop_abruptly();
    let mut expected = Vec::new();
    for client in [&mut bob, &mut desk] {
        assert_eq!(client.notified("presence").await["body"]["online"], false);
    }
    for _ in 0..2 {
        let first = Client::login(&node, "ann", "phone", None).await.expect("logged in");
        let second = Client::resume(&node, &first.token).await.expect("a second connection");
        let third = Client::login(&node, "ann", "web", Some("web"))
            .await
            .expect("logged in");
        online_on(&mut bob, &user, &["default", "web"]).await;
        first.drop_abruptly();
        third.drop_abruptly();
        online_on(&mut bob, &user, &["default"]).await;
        second.drop_abruptly();
        online_on(&mut bob, &user, &[]).await;
        // Said after the presence has ended: waited for on one device, counted on both.
        while desk.notified("presence").await["body"]["online"] != false {}
        expected.extend([json!([user, true]), json!([user, false])]);
    }
    bob.settle(&mut stranger).await;
    assert_eq!(presences(&mut bob), expected);
    stranger.settle(&mut bob).await;
    assert_eq!(presences(&mut stranger), Vec::<Value>::new(), "others hear nothing");
}

#[tokio::test]
async fn former_contacts_and_who_was_only_asked_hear_nothing() {
    let node = calm();
    let (mut ann, mut bob) = pair(&node).await;
    let mut asked = Client::register(&node, "carl").await;
    let mut friend = Client::register(&node, "dora").await;
    befriend(&mut ann, &mut friend).await;
    befriend(&mut ann, &mut bob).await;
    call(&mut bob, "contacts.remove", &ann.user).await;
    call(&mut ann, "contacts.request", &asked.user).await;
    ann.drop_abruptly();
    assert_eq!(friend.notified("presence").await["body"]["online"], false);
    for client in [&mut bob, &mut asked] {
        client.settle(&mut friend).await;
        assert_eq!(presences(client), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn presence_tells_who_is_online_and_on_what() {
    let node = calm();
    let (mut ann, bob) = pair(&node).await;
    let _web = Client::login(&node, "bob", "browser", Some("web"))
        .await
        .expect("logged in");
    let _desk = Client::login(&node, "bob", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let away = http::register(&node, "carl").await;
    let bobs = json!({ "user": bob.user, "online": true, "device_classes": ["default", "desktop", "web"] });
    let nobodys = json!({ "user": away, "online": false, "device_classes": [] });
    assert_eq!(status(&mut ann, &bob.user).await, bobs);
    assert_eq!(status(&mut ann, &away).await, nobodys);
    let users = json!({ "users": [away, bob.user, away] });
    assert_eq!(
        ann.call("presence.batch-get-status", users).await,
        Ok(json!([nobodys, bobs, nobodys]))
    );
    assert_eq!(
        ann.call("presence.count-online", json!({})).await,
        Ok(json!("2")),
        "users are counted, not devices"
    );
    let many: Vec<String> = (0..501).map(|id: u32| id.to_string()).collect();
    let error = ann
        .call("presence.batch-get-status", json!({ "users": many }))
        .await
        .expect_err("refused");
    assert_eq!(error.code, "too_large");
}

#[tokio::test]
async fn a_presence_lasts_while_it_is_renewed_and_ends_when_it_is_not() {
    const GATEWAY: &str = "application.tool.mpim.gateway";
    for (renew_every_ms, online) in [(100, true), (600_000, false)] {
        // The node itself is the clock: it gives up a connection that does not log in after two leases.
        let manifest = calm_manifest()
            .set("component.presence.tool.mpim.config.lease-ttl-ms", 2000)
            .set(&format!("{GATEWAY}.renew_every_ms"), renew_every_ms)
            .set(&format!("{GATEWAY}.login_within_ms"), 4000);
        let node = Node::with(&manifest);
        let (mut ann, bob) = pair(&node).await;
        Client::connect(&node).await.closed().await;
        assert_eq!(status(&mut ann, &bob.user).await["online"], online);
        let count = if online { "2" } else { "0" };
        assert_eq!(ann.call("presence.count-online", json!({})).await, Ok(json!(count)));
    }
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_writes_down_who_was_there() {
    let timer = toml::toml! {
        call = "presence.keep-last-seen"
        every_ms = 600_000
    };
    let manifest = calm_manifest().set("application.tool.mpim.timer", vec![toml::Value::Table(timer)]);
    let node = Node::with(&manifest);
    let ann = Client::register(&node, "ann").await;
    let folder = node.folder.clone();
    assert_eq!(node.stop(), Some(0));
    let store = Connection::open(folder.path().join("data/mpim.sqlite")).expect("opened");
    let kept = format!("SELECT COUNT(*) FROM last_seen WHERE user_id = {}", ann.user);
    assert_eq!(store.query_row(&kept, [], |row| row.get(0)), Ok(1));
}

/// Waits until the store of a node has the time at which a user was last online.
async fn until_kept(node: &Node, user: &str, at: &Value) {
    let store = Connection::open(node.folder.path().join("data/mpim.sqlite")).expect("opened");
    let at = at.as_str().expect("a time");
    let kept = format!("SELECT COUNT(*) FROM last_seen WHERE user_id = {user} AND at = {at}");
    within("a time in the store", async {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(10));
        loop {
            beat.tick().await;
            let count: i64 = store.query_row(&kept, [], |row| row.get(0)).expect("a number");
            if count == 1 {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn when_a_user_was_last_online_is_told_at_once_and_still_after_a_kill() {
    let timer = toml::toml! {
        call = "presence.keep-last-seen"
        every_ms = 20
    };
    let manifest = calm_manifest().set("application.tool.mpim.timer", vec![toml::Value::Table(timer)]);
    let node = Node::with(&manifest);
    let (mut ann, mut bob) = pair(&node).await;
    befriend(&mut ann, &mut bob).await;
    let user = bob.user.clone();
    assert_eq!(status(&mut ann, &user).await.get("last_seen"), None, "online");
    bob.drop_abruptly();
    let gone = ann.notified("presence").await["body"].clone();
    assert_eq!(gone["online"], false);
    let expected = json!({ "user": user, "online": false, "device_classes": [], "last_seen": gone["at"] });
    assert_eq!(status(&mut ann, &user).await, expected);

    until_kept(&node, &user, &gone["at"]).await;
    let folder = node.kill();
    let node = Node::in_folder(&manifest, folder);
    let mut ann = Client::resume(&node, &ann.token).await.expect("resumed");
    assert_eq!(status(&mut ann, &user).await, expected);
    let bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    assert_eq!(status(&mut ann, &bob.user).await.get("last_seen"), None, "online again");
}
