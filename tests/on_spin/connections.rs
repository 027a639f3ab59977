//! How many connections to the database functions on Spin have, and what becomes of whoever finds none free.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::ground::{Alone, User};
use crate::harness::http::Response;
use crate::harness::platform::Platform;

/// Requests at a time.
const AT_A_TIME: usize = 64;
const EACH: usize = 8;

/// Makes many requests, so many at a time, and gives what was answered to all.
async fn crowd(url: &str, user: &User, path: &str, body: impl Fn(usize) -> Value) -> Vec<Response> {
    let body = &body;
    let asking = (0..AT_A_TIME).map(|number| async move {
        let mut answers = Vec::new();
        for round in 0..EACH {
            answers.push(user.ask(url, path, &body(number * EACH + round)).await);
        }
        answers
    });
    futures_util::future::join_all(asking)
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// Many requests at once begin many instances, which want more connections than the server has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_server_of_mysql_refuses_nobody_on_spin() {
    let alone = Alone::start_with(Platform::StandIn, &[], "SET GLOBAL max_connections = 20").await;
    let url = &alone.ground.url;
    let (ann, bob) = (alone.ground.user("ann").await, alone.ground.user("bob").await);
    let send = |number: usize| json!({ "to": bob.user, "client_id": number.to_string(), "content": "x" });
    let answers = crowd(url, &ann, "/v1/send/send-message", send).await;
    let mut numbers: Vec<u64> = Vec::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        numbers.push(
            answer.json()["seq"]
                .as_str()
                .expect("a number")
                .parse()
                .expect("a number"),
        );
    }
    numbers.sort_unstable();
    let all = u64::try_from(AT_A_TIME * EACH).expect("few");
    assert_eq!(numbers, (1..=all).collect::<Vec<_>>(), "each once");
    // Instances of another function come while those of the first still hold what they have: the server is full, and
    // who wants in waits until they end.
    let pull = |_| json!({ "since": "0", "limit": 10 });
    for answer in crowd(url, &bob, "/v1/pull-offline/pull", pull).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_too_long_for_a_connection_on_spin_is_told_that_the_store_is_overloaded() {
    let more = &[
        "--idle-instance-timeout",
        "60s",
        "--variable",
        "mysql_connections_max=1",
    ];
    let alone = Alone::start_with(Platform::StandIn, more, "").await;
    let url = &alone.ground.url;
    let bob = alone.ground.user("bob").await;
    let since = json!({ "since": "0" });
    assert_eq!(bob.ask(url, "/v1/pull-offline/pull", &since).await.status, 200);
    alone.mariadb.freeze();
    let asking = (0..12).map(|_| bob.ask(url, "/v1/pull-offline/pull", &since));
    let answers = futures_util::future::join_all(asking).await;
    alone.mariadb.thaw();
    let mut codes = BTreeSet::new();
    for answer in &answers {
        let told = answer.json();
        assert_eq!(told["retryable"], true, "{answer:?}");
        codes.insert(told["code"].as_str().expect("a code").to_owned());
    }
    assert!(codes.contains("overloaded"), "{codes:?}");
    assert!(
        codes
            .iter()
            .all(|code| ["overloaded", "timeout", "unavailable"].contains(&code.as_str())),
        "{codes:?}"
    );
    // Whoever was given up holds nothing.
    let asking = (0..12).map(|_| bob.ask(url, "/v1/pull-offline/pull", &since));
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}
