//! Functions that go away, hang, or do not know their operator any more: clients are told to try again, and what was
//! accepted is kept.

use std::net::SocketAddr;

use serde_json::json;

use super::fleet::{self, Fleet};
use super::{at_last, login_at_last, say, talks, with_deadline};
use crate::harness::{Client, Node, RpcError, http, within};
use servers::proxy::Proxy;

/// A proxy in front of a node, and the URL that leads through it.
fn through(url: &str) -> (Proxy, String) {
    let address: SocketAddr = url.strip_prefix("http://").expect("http").parse().expect("an address");
    let proxy = Proxy::to(address).expect("a proxy");
    let url = format!("http://{}", proxy.address());
    (proxy, url)
}

fn is_unavailable(error: &RpcError) {
    assert_eq!(
        (error.code.as_str(), error.retryable),
        ("unavailable", true),
        "{error:?}"
    );
}

/// Waits until a node has logged something.
async fn until_logged(node: &Node, what: &str) {
    within(what, async {
        while !node.log().contains(what) {
            http::get(node, "/healthz", None).await;
        }
    })
    .await;
}

/// The contents of the inbox of a client, in their order.
async fn inbox(client: &mut Client) -> Vec<String> {
    let params = json!({ "since": "0", "limit": 500 });
    let page = at_last(client, "pull-offline.pull", params).await;
    let entries = page["entries"].as_array().expect("entries").iter();
    let contents = entries.map(|entry| entry["message"]["content"].as_str().expect("text").to_owned());
    contents.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_try_again_while_the_functions_are_away_and_nothing_accepted_is_lost() {
    const COUNT: usize = 60;
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let url = whole.url.clone();
    let edge = fleet.edge(&whole);
    let (mut ann, mut bob) = (
        Client::register(&edge, "ann").await,
        Client::register(&edge, "bob").await,
    );
    for number in 0..COUNT / 3 {
        say(&mut ann, &bob.user, &number.to_string()).await;
    }
    // A call is on its way while its functions are killed.
    let middle = (COUNT / 3).to_string();
    let params = json!({ "to": bob.user, "client_id": middle, "content": middle });
    let begun = ann.begin("send.send-message", params.clone()).await;
    let folder = whole.kill();
    if let Err(error) = ann.answer(begun).await {
        is_unavailable(&error);
    }
    for _ in 0..20 {
        let error = ann.call("send.send-message", params.clone()).await.expect_err("away");
        is_unavailable(&error);
    }
    is_unavailable(&Client::resume(&edge, &bob.token).await.map(|_| ()).expect_err("away"));
    assert_eq!(Client::bearer(&edge, &bob.token).await.map(|_| ()), Err(503));
    let problem = http::call(&edge, "login", "verify", r#"{"token":""}"#, None).await;
    assert_eq!(
        (problem.status, &problem.json()["retryable"]),
        (503, &json!(true)),
        "{}",
        problem.text
    );

    let whole = tokio::task::block_in_place(|| fleet.whole_again(&url, folder, &[]));
    for number in COUNT / 3..COUNT {
        let content = number.to_string();
        let params = json!({ "to": bob.user, "client_id": content, "content": content });
        at_last(&mut ann, "send.send-message", params).await;
    }
    let all: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(inbox(&mut bob).await, all, "each once, in order");
    // It was never disconnected, and is pushed to again.
    let last = COUNT - 1;
    while bob.notified("message").await["cursor"] != (last + 1).to_string() {}
    let mut carl = Client::register(&whole, "carl").await;
    talks(&mut ann, &mut carl, "again", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_hang_cost_a_call_its_deadline_and_no_connection() {
    let fleet = Fleet::with(with_deadline(500));
    let whole = fleet.whole();
    let (proxy, url) = through(&whole.url);
    let edge = fleet.edge_to(&url, &whole.operator_token());
    let mut ann = Client::register(&edge, "ann").await;
    proxy.partition();
    let error = ann.call("groups.mine", json!({})).await.expect_err("late");
    is_unavailable(&error);
    assert!(
        error.message.contains("groups.mine did not answer in time"),
        "{error:?}"
    );
    proxy.heal();
    assert_eq!(at_last(&mut ann, "groups.mine", json!({})).await, json!([]));
}

/// A client whose route may have ended meanwhile is told to catch up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_could_not_reach_its_functions_tells_its_clients_to_catch_up() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let (proxy, url) = through(&whole.url);
    let edge = fleet.edge_to(&url, &whole.operator_token());
    let mut ann = Client::register(&edge, "ann").await;
    proxy.refuse();
    until_logged(&edge, "route.renew-routes").await;
    ann.heard("connection.resync");
    proxy.heal();
    ann.notified("connection.resync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_begins_while_its_functions_are_away_and_serves_once_they_are_there() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    http::register(&whole, "ann").await;
    let (proxy, url) = through(&whole.url);
    proxy.refuse();
    let edge = fleet.edge_to(&url, &whole.operator_token());
    assert!(edge.log().contains("begins without them"), "{}", edge.log());
    let mut ann = Client::connect(&edge).await;
    is_unavailable(
        &ann.call("login.verify", json!({ "token": "" }))
            .await
            .expect_err("away"),
    );
    proxy.heal();
    login_at_last(&edge, "ann").await;
}

/// A timer runs on one node at a time; one that cannot make the call does not keep it from others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_reach_its_functions_leaves_timers_to_those_that_can() {
    let fleet = Fleet::with(fleet::manifest().set("application.tool.mpim.cluster.lease_ms", 60_000));
    let nowhere = format!("http://127.0.0.1:{}", servers::free_port());
    let edge = fleet.edge_to(&nowhere, "whatever-it-is");
    // Besides the two calls that every node begins with.
    http::until_metric(&edge, "mpim_remote_calls_total{outcome=\"failed\"}", 3.0).await;
    let whole = fleet.whole();
    let answered = r#"mpim_invokes_total{function="send",method="retry-pending",outcome="answered"}"#;
    http::until_metric(&whole, answered, 2.0).await;
}

/// To a client a token of its node's is nothing that it could have got wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_not_trusted_any_more_does_not_send_its_clients_away() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let (url, token) = (whole.url.clone(), whole.operator_token());
    let edge = fleet.edge(&whole);
    let mut ann = Client::register(&edge, "ann").await;
    let folder = whole.kill();
    let other = ["--operator-token", "another-operator-altogether"];
    let whole = tokio::task::block_in_place(|| fleet.whole_again(&url, folder.clone(), &other));
    until_logged(&edge, "is not that of their operator").await;
    for (method, params) in [
        ("groups.mine", json!({})),
        ("connection.resume", json!({ "token": ann.token })),
        ("login.verify", json!({ "token": ann.token })),
    ] {
        let mut other = Client::connect(&edge).await;
        let client = if method == "groups.mine" { &mut ann } else { &mut other };
        let error = client.call(method, params).await.expect_err(method);
        is_unavailable(&error);
        assert!(error.message.contains("cannot be called by this node"), "{error:?}");
    }
    whole.kill();
    let same = ["--operator-token", &token];
    let _whole = tokio::task::block_in_place(|| fleet.whole_again(&url, folder, &same));
    assert_eq!(at_last(&mut ann, "groups.mine", json!({})).await, json!([]));
}
