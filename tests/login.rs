//! People register and log in.

mod sessions;

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::client::PASSWORD;
use crate::harness::{Client, Manifest, Node, http};

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
