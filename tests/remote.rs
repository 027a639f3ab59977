//! Remote functions: a node without any holds the connections of clients, and another runs the functions.

mod fleet;
mod invokes;
mod operator;
mod outages;
mod start;

use serde_json::{Value, json};

use self::fleet::Fleet;
use crate::harness::client::PASSWORD;
use crate::harness::{Client, Manifest, Node, http, within};

/// Says something that is accepted. Gives the receipt.
async fn say(from: &mut Client, to: &str, content: &str) -> Value {
    let params = json!({ "to": to, "client_id": content, "content": content });
    from.call("send.send-message", params).await.expect("accepted")
}

/// The first hears what the second says, at a place of its inbox, and the second sees the ticks.
async fn talks(ann: &mut Client, bob: &mut Client, content: &str, cursor: &str) {
    let sent = say(ann, &bob.user, content).await;
    let heard = bob.notified("message").await;
    assert_eq!(heard["body"]["content"], content);
    assert_eq!(heard["cursor"], cursor);
    let ack = json!({ "messages": [sent["message"]], "cursor": cursor });
    bob.call("send.ack", ack).await.expect("acknowledged");
    assert_eq!(ann.notified("receipt").await["body"]["state"], "delivered");
    let read = json!({ "conversation": sent["conversation"], "up_to": sent["seq"] });
    bob.call("send.mark-read", read).await.expect("read");
    assert_eq!(ann.notified("receipt").await["body"]["state"], "read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_node_without_functions_talk_with_each_other_and_with_those_of_another() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    let mut ann = Client::register(&edge, "ann").await;
    let mut bob = Client::register(&edge, "bob").await;
    let mut carl = Client::register(&whole, "carl").await;
    talks(&mut ann, &mut bob, "on one node", "1").await;
    talks(&mut ann, &mut carl, "from the edge", "1").await;
    talks(&mut carl, &mut ann, "to the edge", "1").await;

    let page = bob
        .call("pull-offline.pull", json!({ "since": "0" }))
        .await
        .expect("a page");
    assert_eq!(page["entries"][0]["message"]["content"], "on one node");
    let own = json!({ "to": "1", "client_id": "x", "content": "x" });
    let error = ann.call("send.send-message", own).await.expect_err("nobody");
    assert_eq!(
        (error.code.as_str(), error.retryable, error.number),
        ("not_found", false, -32000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_functions_is_told_who_logs_in_where_and_who_goes() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    let mut ann = Client::register(&edge, "ann").await;
    let mut bob = Client::register(&whole, "bob").await;
    let users = [bob.user.clone(), ann.user.clone()];
    for (one, other) in [&mut ann, &mut bob].into_iter().zip(users) {
        let asked = one.call("contacts.request", json!({ "user": other })).await;
        asked.expect("asked");
    }
    assert_eq!(ann.notified("contact").await["body"]["change"], "accepted");

    let again = Client::login(&edge, "ann", "other phone", None)
        .await
        .expect("logged in");
    let kicked = ann.notified("kicked").await["body"].clone();
    assert_eq!(kicked["reason"], "replaced-by-new-login");
    assert_eq!(ann.closed().await.map(|close| u16::from(close.code)), Some(4001));
    let resumed = Client::resume(&edge, &again.token).await.expect("resumed");
    assert_eq!(resumed.user, ann.user);
    let mut upgraded = Client::bearer(&edge, &again.token)
        .await
        .expect("a header of the upgrade");
    assert_eq!(upgraded.call("groups.mine", json!({})).await, Ok(json!([])));
    assert_eq!(Client::bearer(&edge, "no such token").await.map(|_| ()), Err(401));
    let stranger = Client::resume(&edge, "no such token").await.map(|_| ());
    assert_eq!(stranger.expect_err("a stranger").code, "unauthenticated");

    bob.heard("presence");
    for client in [again, resumed, upgraded] {
        client.drop_abruptly();
    }
    while bob.notified("presence").await["body"]["online"] != false {}
    Client::login(&edge, "ann", "phone", None).await.expect("logged in");
    while bob.notified("presence").await["body"]["online"] != true {}
}

/// Each by the names that its parameters have in its WIT, of which this node knows nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_that_a_gateway_makes_of_its_own_reaches_remote_functions() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    let mut ann = Client::register(&edge, "ann").await;
    let mut bob = Client::register(&edge, "bob").await;
    talks(&mut ann, &mut bob, "hello", "1").await;
    for (method, least) in [
        (r#"function="login",method="verify""#, 2.0),
        (r#"function="route",method="register-connection""#, 2.0),
        (r#"function="presence",method="set-online""#, 2.0),
        (r#"function="groups",method="topics""#, 2.0),
        (r#"function="route",method="renew-routes""#, 1.0),
        (r#"function="presence",method="renew-presence""#, 1.0),
        (r#"function="login",method="check-sessions""#, 1.0),
        (r#"function="send",method="mark-sent""#, 1.0),
        // One is of the other node, as it began.
        (r#"function="route",method="clean-stale""#, 2.0),
    ] {
        let answered = format!(r#"mpim_invokes_total{{{method},outcome="answered"}}"#);
        http::until_metric(&whole, &answered, least).await;
    }
    ann.drop_abruptly();
    for method in [
        r#"function="route",method="unregister-connection""#,
        r#"function="presence",method="set-offline""#,
    ] {
        let answered = format!(r#"mpim_invokes_total{{{method},outcome="answered"}}"#);
        http::until_metric(&whole, &answered, 1.0).await;
    }
    for failure in ["failed", "not reported", "is no identity"] {
        assert!(!edge.log().contains(failure), "{}", edge.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_large_group_hear_it_by_their_topic_at_a_node_without_functions() {
    let manifest = ["send", "groups"].iter().fold(fleet::manifest(), |manifest, function| {
        manifest.set(&format!("component.{function}.tool.mpim.config.fan-out-threshold"), 2)
    });
    let fleet = Fleet::with(manifest);
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    let mut ann = Client::register(&edge, "ann").await;
    let mut bob = Client::register(&edge, "bob").await;
    let mut carl = Client::register(&whole, "carl").await;
    let made = ann.call("groups.create", json!({ "name": "all" })).await.expect("made");
    let group = json!({ "group": made["id"] });
    for member in [&mut bob, &mut carl] {
        member.call("groups.join", group.clone()).await.expect("joined");
    }
    for (number, speaks) in [(1, true), (2, false)] {
        let content = format!("number {number}");
        let params = json!({ "group": made["id"], "client_id": content, "content": content });
        let speaker = if speaks { &mut ann } else { &mut carl };
        speaker.call("send.send-group-message", params).await.expect("accepted");
        let hearers = if speaks {
            [&mut bob, &mut carl]
        } else {
            [&mut bob, &mut ann]
        };
        for hearer in hearers {
            assert_eq!(hearer.notified("message").await["body"]["content"], content);
        }
    }
    let token = bob.token.clone();
    drop(bob);
    // Subscribed as it comes, by what the remote function says.
    let mut bob = Client::resume(&edge, &token).await.expect("resumed");
    let params = json!({ "group": made["id"], "client_id": "3", "content": "number 3" });
    ann.call("send.send-group-message", params).await.expect("accepted");
    assert_eq!(bob.notified("message").await["body"]["content"], "number 3");
}

/// What is answered over HTTP is the same to the byte, whichever node is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_functions_answers_as_the_one_that_has_them() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    http::register(&whole, "ann").await;
    let token = http::login(&edge, "ann", "phone").await;
    let token = Some(token.as_str());
    let login = json!({ "name": "ann", "password": "wrong horse", "device": "phone" }).to_string();
    for (function, method, body, token) in [
        ("groups", "mine", "{}", token),
        ("groups", "mine", "", token),
        ("groups", "mine", "{}", None),
        ("groups", "mine", "{}", Some("no such token")),
        ("groups", "mine", "[]", token),
        ("groups", "mine", "{", token),
        ("groups", "mine", r#"{"more":1}"#, token),
        ("groups", "create", r#"{"name":""}"#, token),
        ("groups", "info", r#"{"group":18446744073709551616}"#, token),
        ("groups", "info", r#"{"group":"1"}"#, token),
        ("groups", "topics", r#"{"connection":1}"#, token),
        ("groups", "no-such", "{}", token),
        ("no-such", "no-such", "{}", token),
        ("send", "retry-pending", "{}", token),
        ("send", "retry-pending", "{}", None),
        ("a.b", "c d", "{}", None),
        ("login", "login", &login, None),
        ("login", "verify", r#"{"token":"\u0000"}"#, None),
    ] {
        let path = format!("/v1/{function}/{}", method.replace(' ', "%20"));
        let here = http::request(&whole, "POST", &path, body.to_owned(), token).await;
        let there = http::request(&edge, "POST", &path, body.to_owned(), token).await;
        let all = |response: http::Response| (response.status, response.content_type, response.text);
        assert_eq!(all(there), all(here), "{function}.{method} {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_functions_says_where_they_are_to_its_operator_alone() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    let described = http::get(&edge, "/openapi.json", None).await;
    assert_eq!(described.status, 200);
    assert_eq!(described.json()["paths"], json!({}));
    assert!(!described.text.contains(&whole.url), "{}", described.text);
    let listed = http::get(&edge, "/admin/functions", Some(&edge.operator_token()))
        .await
        .json();
    assert_eq!(listed, json!({ "functions": [], "remote": whole.url }));
    let whole_listed = http::get(&whole, "/admin/functions", Some(&whole.operator_token())).await;
    assert_eq!(whole_listed.json().get("remote"), None);
}

/// Over the socket, names reach further than a path: none leads a client out of what it may call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_reaches_no_private_method_through_a_node_without_functions() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    let mut ann = Client::register(&edge, "ann").await;
    for method in [
        "send.retry-pending",
        "presence.keep-last-seen",
        "route.clean-stale",
        "send/retry-pending.x",
        "x.../send/retry-pending",
        "..send/retry-pending",
        "send.retry-pending?",
        "send.retry-pending#",
        "send.%72etry-pending",
        "send.retry-pending HTTP/1.1\r\nx: y",
        "../admin.functions",
        "send. retry-pending",
    ] {
        let error = ann.call(method, json!({})).await.expect_err(method);
        assert_eq!(error.code, "unknown_method", "{method}: {error:?}");
    }
    let params = json!({ "caller": { "user": "1", "session": "1", "device": "d" } });
    let error = ann.call("groups.mine", params).await.expect_err("no such parameter");
    assert_eq!(error.code, "invalid");
    let mut stranger = Client::connect(&edge).await;
    let error = stranger
        .call("groups.mine", json!({}))
        .await
        .expect_err("not logged in");
    assert_eq!(error.code, "unauthenticated");
}

/// Waits until a call is accepted that may be refused for a while.
async fn at_last(client: &mut Client, method: &str, params: Value) -> Value {
    within(method, async {
        loop {
            match client.call(method, params.clone()).await {
                Ok(answer) => return answer,
                Err(error) => assert!(error.retryable, "{error:?}"),
            }
        }
    })
    .await
}

/// Logs in where that may be refused for a while.
async fn login_at_last(node: &Node, name: &str) -> Client {
    let mut client = Client::connect(node).await;
    let params = json!({ "name": name, "password": PASSWORD, "device": "phone" });
    let grant = at_last(&mut client, "login.login", params).await;
    client.user = grant["user"].as_str().expect("a user").to_owned();
    client.token = grant["token"].as_str().expect("a token").to_owned();
    client
}

/// A manifest whose node gives remote functions so much time.
fn with_deadline(ms: i64) -> Manifest {
    fleet::manifest().set("application.tool.mpim.remote.deadline_ms", ms)
}
