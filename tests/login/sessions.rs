//! Sessions: which of them live side by side, and how they end.

use serde_json::{Value, json};

use super::sessions;
use crate::harness::client::PASSWORD;
use crate::harness::{Client, Manifest, Node, http, within};

const POLICY: &str = "component.login.tool.mpim.config.policy";
const TTL_MS: &str = "component.login.tool.mpim.config.session-ttl-ms";

fn node_with_policy(policy: &str) -> Node {
    Node::with(&Manifest::default().set(POLICY, policy))
}

/// Waits for the `kicked` notification and the close that follows it; both say why.
async fn kicked(client: &mut Client, reason: &str) -> Value {
    let body = client.notified("kicked").await["body"].clone();
    assert_eq!(body["reason"], reason);
    closed(client, reason).await;
    body
}

async fn closed(client: &mut Client, reason: &str) {
    let close = client.closed().await.expect("a close frame");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4001, reason));
}

/// What HTTP answers to a call with a token: 200, or 401 for one that stands for nothing.
async fn status_of(node: &Node, token: &str) -> u16 {
    http::call(node, "login", "sessions", "{}", Some(token)).await.status
}

#[tokio::test]
async fn a_login_kicks_the_former_session_of_the_same_class() {
    let node = node_with_policy("kick");
    let mut phone = Client::register(&node, "ann").await;
    let mut tablet = Client::login(&node, "ann", "tablet", None).await.expect("logged in");
    let body = kicked(&mut phone, "replaced-by-new-login").await;
    assert_eq!(body["by_device"], "default");
    assert_eq!(
        (
            status_of(&node, &phone.token).await,
            status_of(&node, &tablet.token).await
        ),
        (401, 200)
    );
    let listed = sessions(&mut tablet).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["device"], "tablet");
}

#[tokio::test]
async fn a_login_is_refused_while_another_device_of_the_class_has_a_session() {
    let node = node_with_policy("refuse");
    let mut phone = Client::register(&node, "ann").await;
    let error = Client::login(&node, "ann", "tablet", None)
        .await
        .map(|_| ())
        .expect_err("refused");
    assert_eq!(error.code, "already_exists");
    assert_eq!(sessions(&mut phone).await.len(), 1);
    phone.call("login.logout", json!({})).await.expect("logged out");
    Client::login(&node, "ann", "tablet", None)
        .await
        .expect("there is room now");
}

#[tokio::test]
async fn devices_of_a_class_live_side_by_side_where_that_is_allowed() {
    let node = node_with_policy("allow");
    let mut phone = Client::register(&node, "ann").await;
    let mut tablet = Client::login(&node, "ann", "tablet", None).await.expect("logged in");
    assert_eq!(
        (sessions(&mut phone).await.len(), sessions(&mut tablet).await.len()),
        (2, 2)
    );
}

#[tokio::test]
async fn a_device_replaces_its_own_session_under_every_policy() {
    for policy in ["kick", "refuse", "allow"] {
        let node = node_with_policy(policy);
        let mut former = Client::register(&node, "ann").await;
        let mut phone = Client::login(&node, "ann", "phone", None).await.expect("logged in");
        kicked(&mut former, "replaced-by-new-login").await;
        assert_eq!(sessions(&mut phone).await.len(), 1, "{policy}");
    }
}

#[tokio::test]
async fn another_class_of_devices_is_left_alone_under_every_policy() {
    for policy in ["kick", "refuse", "allow"] {
        let node = node_with_policy(policy);
        let mut phone = Client::register(&node, "ann").await;
        let mut bob = Client::register(&node, "bob").await;
        let mut desk = Client::login(&node, "ann", "desk", Some("desktop"))
            .await
            .expect("logged in");
        phone.settle(&mut bob).await;
        assert_eq!(phone.heard("kicked"), Vec::<Value>::new(), "{policy}");
        assert_eq!(
            (sessions(&mut phone).await.len(), sessions(&mut desk).await.len()),
            (2, 2),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn a_logout_ends_the_session_and_its_connections() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let mut second = Client::resume(&node, &ann.token)
        .await
        .expect("a second connection of the session");
    let mut desk = Client::login(&node, "ann", "desk", Some("desktop"))
        .await
        .expect("logged in");
    assert_eq!(ann.call("login.logout", json!({})).await, Ok(Value::Null));
    closed(&mut ann, "logged-out").await;
    closed(&mut second, "logged-out").await;
    assert_eq!(status_of(&node, &ann.token).await, 401);
    assert_eq!(
        Client::resume(&node, &ann.token)
            .await
            .map(|_| ())
            .expect_err("ended")
            .code,
        "unauthenticated"
    );
    assert_eq!(Client::bearer(&node, &ann.token).await.map(|_| ()), Err(401));
    assert_eq!(sessions(&mut desk).await.len(), 1);
}

#[tokio::test]
async fn a_revoked_session_is_told_closed_and_refused_from_then_on() {
    let node = Node::start();
    let mut phone = Client::register(&node, "ann").await;
    let mut desk = Client::login(&node, "ann", "desk", Some("desktop"))
        .await
        .expect("logged in");
    let listed = sessions(&mut phone).await;
    let session = listed
        .iter()
        .find(|session| session["device"] == "desk")
        .expect("listed")["id"]
        .clone();
    phone
        .call("login.revoke", json!({ "session": session }))
        .await
        .expect("revoked");
    kicked(&mut desk, "revoked").await;
    assert_eq!(
        (
            status_of(&node, &desk.token).await,
            status_of(&node, &phone.token).await
        ),
        (401, 200)
    );
    assert_eq!(sessions(&mut phone).await.len(), 1);
}

#[tokio::test]
async fn a_session_of_another_user_cannot_be_revoked() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let mut bob = Client::register(&node, "bob").await;
    let session = sessions(&mut bob).await[0]["id"].clone();
    for session in [session, json!("1")] {
        let error = ann
            .call("login.revoke", json!({ "session": session }))
            .await
            .expect_err("refused");
        assert_eq!(error.code, "not_found");
    }
    assert_eq!(sessions(&mut bob).await.len(), 1);
}

#[tokio::test]
async fn sessions_are_listed_newest_first_and_the_own_is_marked() {
    let node = Node::start();
    let mut phone = Client::register(&node, "ann").await;
    for class in ["desktop", "web"] {
        let login = json!({ "name": "ann", "password": PASSWORD, "device": class, "device_class": class });
        http::done(&node, "login", "login", &login, None).await;
    }
    let listed = sessions(&mut phone).await;
    let seen: Vec<_> = listed
        .iter()
        .map(|session| (&session["device"], &session["device_class"], &session["current"]))
        .collect();
    assert_eq!(
        json!(seen),
        json!([
            ["web", "web", false],
            ["desktop", "desktop", false],
            ["phone", "default", true]
        ])
    );
}

#[tokio::test]
async fn an_expired_token_stands_for_nothing() {
    let node = Node::with(&Manifest::default().set(TTL_MS, 1));
    http::register(&node, "ann").await;
    let token = http::login(&node, "ann", "phone").await;
    within("the end of a session", async {
        while status_of(&node, &token).await != 401 {}
    })
    .await;
    assert_eq!(
        Client::resume(&node, &token)
            .await
            .map(|_| ())
            .expect_err("expired")
            .code,
        "unauthenticated"
    );
}

#[tokio::test]
async fn the_connection_of_an_expired_session_is_closed() {
    let manifest = Manifest::default()
        .set(TTL_MS, 3000)
        .set("application.tool.mpim.gateway.renew_every_ms", 50);
    let node = Node::with(&manifest);
    let mut ann = Client::register(&node, "ann").await;
    closed(&mut ann, "session-ended").await;
}
