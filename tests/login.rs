//! People register, log in, and lose their sessions.

use std::path::Path;

use serde_json::{Value, json};

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

async fn sessions(client: &mut Client) -> Vec<Value> {
    let listed = client.call("login.sessions", json!({})).await.expect("listed");
    listed.as_array().expect("a list").clone()
}

#[tokio::test]
async fn an_account_is_made_and_logged_in_over_http() {
    let node = Node::start();
    let user = http::register(&node, "ann").await;
    let login = json!({ "name": "ANN", "password": PASSWORD, "device": "phone" });
    let grant = http::done(&node, "login", "login", &login, None).await;
    assert_eq!(grant["user"], user);
    let identity = http::done(&node, "login", "verify", &json!({ "token": grant["token"] }), None).await;
    let expected = json!({
        "user": user,
        "session": grant["session"],
        "device": "phone",
        "device_class": "default",
        "expires_at": grant["expires_at"],
    });
    assert_eq!(identity, expected);
    let client = Client::resume(&node, grant["token"].as_str().expect("text"))
        .await
        .expect("resumed");
    assert_eq!(client.user, user);
}

#[tokio::test]
async fn an_account_is_made_and_logged_in_over_a_websocket() {
    let node = Node::start();
    let mut client = Client::connect(&node).await;
    let account = json!({ "name": "ann", "password": PASSWORD });
    let user = client.call("login.register", account).await.expect("registered");
    let login = json!({ "name": "ann", "password": PASSWORD, "device": "desk", "device_class": "desktop" });
    let grant = client.call("login.login", login).await.expect("logged in");
    assert_eq!(grant["user"], user);
    let identity = client
        .call("login.verify", json!({ "token": grant["token"] }))
        .await
        .expect("verified");
    assert_eq!(
        (&identity["user"], &identity["device_class"]),
        (&user, &json!("desktop"))
    );
    // The connection is logged in by its login alone.
    assert_eq!(sessions(&mut client).await[0]["id"], grant["session"]);
}

#[tokio::test]
async fn a_name_is_taken_once_without_regard_to_case() {
    let node = Node::start();
    let mut client = Client::connect(&node).await;
    let account = |name: &str| json!({ "name": name, "password": PASSWORD });
    client
        .call("login.register", account("Ann Lee"))
        .await
        .expect("registered");
    let error = client
        .call("login.register", account("ann LEE"))
        .await
        .expect_err("taken");
    assert_eq!((error.code.as_str(), error.retryable), ("already_exists", false));
    let refused = http::call(&node, "login", "register", account("ANN LEE").to_string(), None).await;
    assert_eq!(refused.status, 409);
}

#[tokio::test]
async fn names_passwords_and_devices_have_bounds() {
    let node = Node::start();
    let mut client = Client::connect(&node).await;
    let long = "a".repeat(65);
    for (name, password) in [
        ("", PASSWORD),
        (long.as_str(), PASSWORD),
        (" ann", PASSWORD),
        ("ann\n", PASSWORD),
        ("ann", "7 bytes"),
        ("ann", &"p".repeat(129)),
    ] {
        let account = json!({ "name": name, "password": password });
        let error = client.call("login.register", account).await.expect_err("refused");
        assert_eq!(error.code, "invalid", "{name:?} {password:?}");
    }
    client
        .call("login.register", json!({ "name": "ann", "password": PASSWORD }))
        .await
        .expect("registered");
    for (device, class) in [
        ("", "default"),
        (long.as_str(), "default"),
        ("phone", ""),
        ("phone", long.as_str()),
    ] {
        let login = json!({ "name": "ann", "password": PASSWORD, "device": device, "device_class": class });
        assert_eq!(
            client.call("login.login", login).await.expect_err("refused").code,
            "invalid"
        );
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_have_the_same_answer() {
    let node = Node::start();
    http::register(&node, "ann").await;
    let mut client = Client::connect(&node).await;
    let login = |name: &str, password: &str| json!({ "name": name, "password": password, "device": "phone" });
    let wrong = client
        .call("login.login", login("ann", "wrong password"))
        .await
        .expect_err("refused");
    let unknown = client
        .call("login.login", login("bob", "wrong password"))
        .await
        .expect_err("refused");
    assert_eq!(wrong.code, "unauthenticated");
    assert_eq!(wrong, unknown);
    let over_http = async |login: Value| http::call(&node, "login", "login", login.to_string(), None).await;
    let (wrong, unknown) = (
        over_http(login("ann", "x")).await,
        over_http(login("bob", "wrong password")).await,
    );
    assert_eq!((wrong.status, wrong.json()), (401, unknown.json()));
}

#[tokio::test]
async fn guesses_of_a_password_are_bounded_for_each_name() {
    let rates = "component.login.tool.mpim.rates.login";
    let few = Manifest::default()
        .set(&format!("{rates}.burst"), 2.0)
        .set(&format!("{rates}.per_second"), 0.001);
    let node = Node::with(&few);
    http::register(&node, "ann").await;
    http::register(&node, "bob").await;
    let guess = json!({ "name": "ann", "password": "wrong password", "device": "phone" }).to_string();
    for expected in [401, 401, 429] {
        let refused = http::call(&node, "login", "login", guess.clone(), None).await;
        assert_eq!(refused.status, expected);
        assert_eq!(refused.json()["retryable"], expected == 429);
    }
    let error = Client::login(&node, "ann", "phone", None)
        .await
        .map(|_| ())
        .expect_err("the right password neither");
    assert_eq!(error.code, "rate_limited");
    Client::login(&node, "bob", "phone", None)
        .await
        .expect("another name is free");
}

#[tokio::test]
async fn calls_before_a_login_are_unauthenticated() {
    let node = Node::start();
    let mut client = Client::connect(&node).await;
    for method in [
        "login.sessions",
        "login.logout",
        "pull-offline.pull",
        "groups.mine",
        "presence.count-online",
    ] {
        let error = client.call(method, json!({})).await.expect_err("not logged in");
        assert_eq!(
            (error.code.as_str(), error.number),
            ("unauthenticated", -32000),
            "{method}"
        );
        let (function, name) = method.split_once('.').expect("two names");
        for token in [None, Some("no such token"), Some("")] {
            let refused = http::call(&node, function, name, "{}", token).await;
            assert_eq!(
                (refused.status, refused.json()["code"].clone()),
                (401, json!("unauthenticated")),
                "{method}"
            );
        }
    }
    let error = client
        .call("connection.resume", json!({ "token": "no such token" }))
        .await
        .expect_err("refused");
    assert_eq!(error.code, "unauthenticated");
}

#[tokio::test]
async fn a_connection_that_does_not_log_in_is_closed() {
    let node = Node::with(&Manifest::default().set("application.tool.mpim.gateway.login_within_ms", 100));
    let close = Client::connect(&node).await.closed().await.expect("a close frame");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1008, "not-logged-in"));
}

#[tokio::test]
async fn a_connection_is_logged_in_once() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    http::register(&node, "bob").await;
    let login = json!({ "name": "bob", "password": PASSWORD, "device": "phone" });
    assert_eq!(
        ann.call("login.login", login).await.expect_err("refused").code,
        "invalid"
    );
    let resume = json!({ "token": ann.token });
    assert_eq!(
        ann.call("connection.resume", resume).await.expect_err("refused").code,
        "invalid"
    );
    assert_eq!(sessions(&mut ann).await.len(), 1);
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

#[tokio::test]
async fn neither_tokens_nor_passwords_are_stored_in_clear() {
    let node = Node::start();
    http::register(&node, "ann").await;
    let token = http::login(&node, "ann", "a phone of a name unlike others").await;
    let folder = node.kill();
    let stored = bytes_of(&folder.path().join("data"));
    let holds = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("a phone of a name unlike others"), "what is stored is looked at");
    assert!(!holds(&token) && !holds(PASSWORD));
}

/// All files directly in a folder.
fn bytes_of(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    files
        .filter(|path| path.is_file())
        .flat_map(|path| std::fs::read(path).expect("readable"))
        .collect()
}
