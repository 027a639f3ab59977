//! A batch: one request of the operator for calls of many callers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ground::{Ground, User};
use crate::harness::platform::{OPERATOR_TOKEN, Platform};
use crate::harness::{Node, http};

/// The method that makes a batch of `send.send-message`, and its one parameter.
const BATCH: (&str, &str) = ("/v1/send/batch-send-message", "calls");
const CALLS: usize = 100;
/// Longer than a hundred messages take on a busy machine, as one batch, and much shorter than one after the other.
const PATIENCE: Duration = Duration::from_secs(5);

fn call(from: &str, to: &str, client_id: &str, content: &str) -> Value {
    let caller = json!({ "user": from, "session": "1", "device": "d" });
    json!({ "caller": caller, "to": to, "client_id": client_id, "content": content })
}

fn batch(calls: &[Value]) -> Value {
    json!({ BATCH.1: calls })
}

async fn ask(url: &str, token: &str, calls: &[Value]) -> http::Response {
    let bearer = format!("Bearer {token}");
    http::at(
        url,
        "POST",
        BATCH.0,
        batch(calls).to_string(),
        &[("authorization", &bearer)],
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_the_operator_on_spin_has_an_answer_for_each_call() {
    let ground = Ground::start(Platform::StandIn).await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let mut calls: Vec<Value> = (0..CALLS)
        .map(|number| {
            let (from, to) = if number % 2 == 0 { (&ann, &bob) } else { (&bob, &ann) };
            call(&from.user, &to.user, &number.to_string(), "x")
        })
        .collect();
    // To nobody: it costs the others nothing.
    calls[41]["to"] = "1".into();
    let begun = Instant::now();
    let answer = ask(&ground.url, OPERATOR_TOKEN, &calls).await;
    let took = begun.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let told = answer.json();
    let outcomes = told.as_array().expect("a list");
    assert_eq!(outcomes.len(), CALLS);
    let mut next = [1, 1];
    for (number, outcome) in outcomes.iter().enumerate() {
        if number == 41 {
            assert_eq!(outcome["err"]["code"], "not_found", "{outcome}");
            assert_eq!(outcome["err"]["retryable"], false, "{outcome}");
            assert!(outcome.get("ok").is_none(), "{outcome}");
            continue;
        }
        assert!(outcome.get("err").is_none(), "{outcome}");
        assert!(outcome["ok"]["message"].is_string(), "{outcome}");
        next[number % 2] += 1;
    }
    assert_eq!(next, [CALLS / 2 + 1, CALLS / 2]);
    assert!(took < PATIENCE, "{took:?}");
    // What is asked again is not sent again.
    let again = ask(&ground.url, OPERATOR_TOKEN, &calls).await;
    assert_eq!(again.json()[0]["ok"]["message"], told[0]["ok"]["message"]);
    assert_eq!(heard(&ground, &bob).await, CALLS / 2);
}

/// How many messages wait for a user.
async fn heard(ground: &Ground, user: &User) -> usize {
    let since = json!({ "since": "0", "limit": 500 });
    let page = user.ask(&ground.url, "/v1/pull-offline/pull", &since).await.json();
    page["entries"].as_array().expect("entries").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_batch_that_is_no_call_is_named_and_nothing_is_done() {
    let ground = Ground::start(Platform::StandIn).await;
    let node = Node::start();
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let mut calls: Vec<Value> = (0..3)
        .map(|number| call(&ann.user, &bob.user, &number.to_string(), "x"))
        .collect();
    calls[2].as_object_mut().expect("an object").remove("client_id");
    let remote = ask(&ground.url, OPERATOR_TOKEN, &calls).await;
    let local = ask(&node.url, &node.operator_token(), &calls).await;
    assert_eq!(
        (remote.status, &remote.json()["code"]),
        (400, &json!("invalid")),
        "{}",
        remote.text
    );
    let detail = remote.json()["detail"].as_str().expect("a text").to_owned();
    assert!(detail.contains('2') && detail.contains("client_id"), "{detail}");
    assert_eq!((remote.status, remote.text), (local.status, local.text));
    assert_eq!(heard(&ground, &bob).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_on_spin_may_be_larger_than_what_a_client_asks() {
    let ground = Ground::start(Platform::StandIn).await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let content = "x".repeat(8 * 1024);
    let calls: Vec<Value> = (0..CALLS)
        .map(|number| call(&ann.user, &bob.user, &number.to_string(), &content))
        .collect();
    let answer = ask(&ground.url, OPERATOR_TOKEN, &calls).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        answer
            .json()
            .as_array()
            .is_some_and(|all| all.iter().all(|one| one.get("ok").is_some()))
    );
    // Whoever is not the operator has no such method, and no such body.
    let refused = ann.ask(&ground.url, BATCH.0, &batch(&calls[..1])).await;
    assert_eq!(refused.json()["code"], "unknown_method", "{}", refused.text);
    let refused = ann.ask(&ground.url, BATCH.0, &batch(&calls)).await;
    assert_eq!(refused.json()["code"], "too_large", "{}", refused.text);
}

/// As many batches at the same time as an instance takes, of the same two users: each call is answered, and sent once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_batches_at_once_on_spin_are_answered_and_sent_once() {
    let ground = Ground::start(Platform::StandIn).await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let asking = (0..16).map(|batch| {
        let calls: Vec<Value> = (0..CALLS)
            .map(|number| call(&ann.user, &bob.user, &format!("{batch}-{number}"), "x"))
            .collect();
        let url = &ground.url;
        async move {
            let mut sent = 0;
            for _ in 0..4 {
                let answer = ask(url, OPERATOR_TOKEN, &calls).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                sent += answer.json().as_array().map_or(0, Vec::len);
            }
            sent
        }
    });
    let sent: usize = futures_util::future::join_all(asking).await.iter().sum();
    assert_eq!(sent, 16 * 4 * CALLS);
    let last = json!({ "since": (16 * CALLS - 1).to_string() });
    let page = bob.ask(&ground.url, "/v1/pull-offline/pull", &last).await.json();
    assert_eq!(page["entries"].as_array().map(Vec::len), Some(1), "{page}");
}
