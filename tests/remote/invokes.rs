//! Calls between functions that run on different nodes, and batches of calls of remote functions.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;

use super::fleet::{self, Fleet};
use super::talks;
use crate::harness::{Client, Node, Raw, http};

/// How often calls of a method were answered on a node.
async fn answered(node: &Node, function: &str, method: &str) -> f64 {
    let token = node.operator_token();
    let metrics = http::get(node, "/admin/metrics", Some(&token)).await.text;
    let name = format!(r#"mpim_invokes_total{{function="{function}",method="{method}",outcome="answered"}}"#);
    let counts = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(&name)?.trim().parse::<f64>().ok());
    counts.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_runs_here_calls_one_that_runs_on_another_node() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let some = fleet.some("login,send", &whole).await;
    let mut ann = Client::register(&some, "ann").await;
    let mut bob = Client::register(&some, "bob").await;
    let mut carl = Client::register(&whole, "carl").await;
    talks(&mut ann, &mut bob, "on one node", "1").await;
    talks(&mut bob, &mut carl, "to the other", "1").await;
    talks(&mut carl, &mut ann, "and back", "1").await;
    // `send` ran where its clients are, and asked `route` of the other node.
    assert!(answered(&some, "send", "send-message").await >= 2.0);
    assert!(answered(&whole, "route", "route-message").await >= 3.0);
    assert_eq!(answered(&some, "route", "route-message").await, 0.0);
    let page = bob.call("pull-offline.pull", json!({ "since": "0" })).await;
    assert_eq!(page.expect("a page")["entries"][0]["message"]["content"], "on one node");
    // An error of a function behind another is its error all the same.
    let error = ann
        .call(
            "send.send-message",
            json!({ "to": "1", "client_id": "x", "content": "x" }),
        )
        .await
        .expect_err("nobody");
    assert_eq!(error.code, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_many_connections_reach_remote_functions_in_batches() {
    many_at_once(Fleet::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_they_do_over_http_2() {
    many_at_once(Fleet::with(
        fleet::manifest().set("application.tool.mpim.remote.http2", true),
    ))
    .await;
}

async fn many_at_once(fleet: Fleet) {
    const CONNECTIONS: usize = 8;
    const MESSAGES: usize = 20;
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    let mut bob = Client::register(&edge, "bob").await;
    let mut senders = Vec::new();
    for number in 0..CONNECTIONS {
        let sender = Client::register(&edge, &format!("sender-{number}")).await;
        senders.push((Raw::resume(&edge, &sender.token).await, sender));
    }
    let to = &bob.user;
    join_all(senders.iter_mut().enumerate().map(async |(number, (raw, _))| {
        // One that does not fit is refused, and costs the others nothing.
        let is_bad = |id: usize| number == 3 && id == 7;
        let request = |id: usize| {
            let content = if is_bad(id) { json!(7) } else { json!(format!("{id}")) };
            json!({ "jsonrpc": "2.0", "id": id, "method": "send.send-message",
                "params": { "to": to, "client_id": format!("{id}"), "content": content } })
        };
        raw.ask_at_once(&(0..MESSAGES).map(request).collect::<Vec<_>>()).await;
        let mut answers = 0;
        while answers < MESSAGES {
            let frame = raw.next_but_pings().await.expect("an answer").json();
            let Some(id) = frame.get("id") else { continue };
            let id = usize::try_from(id.as_u64().expect("a number")).expect("a small one");
            assert_eq!(frame.get("error").is_some(), is_bad(id), "{frame}");
            answers += 1;
        }
    }))
    .await;
    let mut cursors = BTreeSet::new();
    for _ in 0..CONNECTIONS * MESSAGES - 1 {
        let heard = bob.notified("message").await;
        cursors.insert(
            heard["cursor"]
                .as_str()
                .expect("a cursor")
                .parse::<usize>()
                .expect("a number"),
        );
    }
    assert_eq!(cursors, (1..CONNECTIONS * MESSAGES).collect());
    let batches = answered(&whole, "send", "batch-send-message").await;
    assert!(batches > 0.0, "no call was made in a batch");
    assert!(batches < (CONNECTIONS * MESSAGES) as f64 / 2.0, "{batches} batches");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_passed_on_goes_no_further_and_an_unknown_function_nowhere() {
    let fleet = Fleet::new();
    let whole = fleet.whole();
    let edge = fleet.edge(&whole).await;
    let token = edge.operator_token();
    let before = http::get(&whole, "/admin/metrics", Some(&whole.operator_token()))
        .await
        .text;
    let bearer = format!("Bearer {token}");
    let passed_on = [
        ("authorization", bearer.as_str()),
        ("mpim-context", "timeout_ms=5000;depth=0;attempt=0;cohort=0;mode=live"),
    ];
    let refused = http::request_with(&edge, "POST", "/v1/send/retry-pending", "{}".to_owned(), &passed_on).await;
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (404, Some("unknown_method"))
    );
    for path in ["/v1/nobody/knows", "/v1/send/a%2Fb"] {
        let refused = http::request_with(&edge, "POST", path, "{}".to_owned(), &[]).await;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (404, Some("unknown_method")),
            "{path}"
        );
    }
    // In person the operator is answered as on a node with functions.
    let own = [("authorization", bearer.as_str())];
    let done = http::request_with(&edge, "POST", "/v1/send/retry-pending", "{}".to_owned(), &own).await;
    assert_eq!(done.status, 200, "{}", done.text);
    let nobody = http::request_with(&edge, "POST", "/v1/groups/mine", "{}".to_owned(), &own).await;
    assert_eq!(
        (nobody.status, nobody.json()["code"].as_str()),
        (401, Some("unauthenticated"))
    );
    assert!(!edge.log().contains("refuse this node"), "{}", edge.log());
    assert!(!before.contains("nobody"), "a name of a client is no label");
}
