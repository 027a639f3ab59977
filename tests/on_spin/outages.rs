//! Servers that die or hang under functions on Spin.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::ground::{Alone, User};
use crate::harness::dice::Dice;
use crate::harness::platform::Platform;
use crate::harness::{http, within};

const WRITERS: u64 = 4;
const EACH: u64 = 60;

async fn ask(url: &str, path: &str, body: &Value, user: &User) -> http::Response {
    let bearer = format!("Bearer {}", user.token);
    http::at(url, "POST", path, body.to_string(), &[("authorization", &bearer)]).await
}

/// Asks until it is done. Whoever fails says so in JSON, and that a retry may help; but Spin itself answers for an
/// instance that ended, without a word.
async fn ask_until_done(url: &str, path: &str, body: &Value, user: &User, answers: &watch::Sender<u64>) -> Value {
    within("an answer without an error", async {
        loop {
            let answer = ask(url, path, body, user).await;
            answers.send_modify(|count| *count += 1);
            if answer.status == 200 {
                return answer.json();
            }
            let told = answer.json();
            assert_eq!(told["retryable"], true, "{answer:?}");
            assert!(
                ["unavailable", "timeout", "overloaded"].contains(&told["code"].as_str().unwrap_or_default()),
                "{answer:?}"
            );
        }
    })
    .await
}

/// All that an inbox has, from its beginning.
async fn inbox(url: &str, user: &User) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    loop {
        let since = all.last().map_or(0, |(place, _)| *place);
        let body = json!({ "since": since.to_string(), "limit": 100 });
        let page = ask(url, "/v1/pull-offline/pull", &body, user).await.json();
        let entries = page["entries"].as_array().expect("entries");
        if entries.is_empty() {
            return all;
        }
        for entry in entries {
            let place = entry["cursor"].as_str().expect("a place").parse().expect("a number");
            let content = entry["message"]["content"].as_str().expect("text").to_owned();
            all.push((place, content));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_under_functions_on_spin_what_was_accepted_is_kept_once() {
    let mut dice = Dice::thrown("servers under functions on Spin");
    let mut alone = Alone::start(Platform::StandIn).await;
    let url = alone.ground.url.clone();
    let (ann, bob) = (alone.ground.user("ann").await, alone.ground.user("bob").await);
    let (answers, mut answered) = watch::channel(0);
    let accepted = AtomicU64::new(0);
    let writing = futures_util::future::join_all((0..WRITERS).map(|writer| {
        let (url, ann, bob, answers, accepted) = (&url, &ann, &bob, &answers, &accepted);
        async move {
            for number in 0..EACH {
                let text = format!("{writer}-{number}");
                let body = json!({ "to": bob.user, "client_id": text, "content": text });
                ask_until_done(url, "/v1/send/send-message", &body, ann, answers).await;
                accepted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }));
    let harm = async {
        for _ in 0..6 {
            let more = *answered.borrow_and_update() + dice.between(5, 40);
            if answered.wait_for(|count| *count >= more).await.is_err() {
                return;
            }
            match dice.between(0, 3) {
                0 => tokio::task::block_in_place(|| {
                    alone.mariadb.kill();
                    alone.mariadb.run();
                }),
                1 => tokio::task::block_in_place(|| alone.redis.restart()),
                _ => {
                    alone.redis.freeze();
                    let next = *answered.borrow_and_update() + 1;
                    let _ = answered.wait_for(|count| *count >= next).await;
                    alone.redis.thaw();
                }
            }
        }
    };
    // Those who write may be done before the harm is.
    let whole = async { tokio::join!(writing, harm) };
    tokio::pin!(whole);
    whole.await;
    assert_eq!(accepted.load(Ordering::Relaxed), WRITERS * EACH);

    let kept = inbox(&url, &bob).await;
    let places: Vec<u64> = kept.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (1..=WRITERS * EACH).collect::<Vec<_>>(), "without gaps");
    let contents: BTreeSet<&String> = kept.iter().map(|(_, content)| content).collect();
    assert_eq!(contents.len(), kept.len(), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_on_spin_say_that_their_servers_are_away() {
    let mut alone = Alone::start(Platform::StandIn).await;
    let url = alone.ground.url.clone();
    let (ann, bob) = (alone.ground.user("ann").await, alone.ground.user("bob").await);
    let hello = json!({ "to": bob.user, "client_id": "1", "content": "hello" });
    alone.mariadb.kill();
    let answer = ask(&url, "/v1/send/send-message", &hello, &ann).await;
    let told = answer.json();
    assert_eq!((answer.status, &told["code"]), (503, &json!("unavailable")), "{told}");
    assert_eq!(told["retryable"], true);
    tokio::task::block_in_place(|| alone.mariadb.run());
    let answer = ask(&url, "/v1/send/send-message", &hello, &ann).await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    // A server that hangs costs its patience, and the message is kept all the same: the queue is a hint.
    alone.redis.freeze();
    let more = json!({ "to": bob.user, "client_id": "2", "content": "more" });
    let (stop, _) = watch::channel(0);
    let begun = ask(&url, "/v1/send/send-message", &more, &ann).await;
    alone.redis.thaw();
    if begun.status != 200 {
        assert_eq!(begun.json()["retryable"], true, "{}", begun.text);
        ask_until_done(&url, "/v1/send/send-message", &more, &ann, &stop).await;
    }
    let kept = inbox(&url, &bob).await;
    assert_eq!(kept, [(1, "hello".to_owned()), (2, "more".to_owned())]);
}
