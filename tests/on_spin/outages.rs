//! Servers that die or hang under functions on Spin.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ground::{Alone, User};
use crate::harness::dice::Dice;
use crate::harness::platform::Platform;
use crate::harness::within;

const WRITERS: u64 = 4;
const EACH: u64 = 60;

/// Asks until it is done. Whoever fails says so, and that a retry may help.
async fn ask_until_done(url: &str, path: &str, body: &Value, user: &User, answers: &watch::Sender<u64>) -> Value {
    within("an answer without an error", async {
        loop {
            let answer = user.ask(url, path, body).await;
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

/// Waits for an answer, unless nobody asks any more.
async fn one_more(answered: &mut watch::Receiver<u64>) {
    let next = *answered.borrow_and_update() + 1;
    let _ = answered.wait_for(|count| *count >= next).await;
}

/// All that an inbox has, from its beginning.
async fn inbox(url: &str, user: &User) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    loop {
        let since = all.last().map_or(0, |(cursor, _)| *cursor);
        let body = json!({ "since": since.to_string(), "limit": 100 });
        let page = user.ask(url, "/v1/pull-offline/pull", &body).await.json();
        let entries = page["entries"].as_array().expect("entries");
        if entries.is_empty() {
            return all;
        }
        for entry in entries {
            let cursor = entry["cursor"].as_str().expect("a cursor").parse().expect("a number");
            let content = entry["message"]["content"].as_str().expect("text").to_owned();
            all.push((cursor, content));
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
    let answers = Arc::new(answers);
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let (url, ann, to) = (url.clone(), ann.clone(), bob.user.clone());
        let answers = Arc::clone(&answers);
        writing.spawn(async move {
            for number in 0..EACH {
                let text = format!("{writer}-{number}");
                let body = json!({ "to": to, "client_id": text, "content": text });
                ask_until_done(&url, "/v1/send/send-message", &body, &ann, &answers).await;
            }
        });
    }
    // When all have written, nobody counts any more.
    drop(answers);
    for _ in 0..6 {
        let more = *answered.borrow_and_update() + dice.between(5, 40);
        if answered.wait_for(|count| *count >= more).await.is_err() {
            break;
        }
        match dice.between(0, 4) {
            0 => tokio::task::block_in_place(|| {
                alone.mariadb.kill();
                alone.mariadb.run();
            }),
            1 => tokio::task::block_in_place(|| alone.redis.restart()),
            2 => {
                alone.mariadb.freeze();
                one_more(&mut answered).await;
                alone.mariadb.thaw();
            }
            _ => {
                alone.redis.freeze();
                one_more(&mut answered).await;
                alone.redis.thaw();
            }
        }
    }
    while let Some(done) = writing.join_next().await {
        done.expect("all of it was accepted");
    }
    let kept = inbox(&url, &bob).await;
    let cursors: Vec<u64> = kept.iter().map(|(cursor, _)| *cursor).collect();
    assert_eq!(cursors, (1..=WRITERS * EACH).collect::<Vec<_>>(), "without gaps");
    let contents: BTreeSet<&String> = kept.iter().map(|(_, content)| content).collect();
    assert_eq!(contents.len(), kept.len(), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_on_spin_say_that_their_servers_are_away() {
    let mut alone = Alone::start(Platform::StandIn).await;
    let url = alone.ground.url.clone();
    let (ann, bob) = (alone.ground.user("ann").await, alone.ground.user("bob").await);
    // Many at once, so that instances have more than one connection.
    let looks = (0..32).map(|_| async {
        let since = json!({ "since": "0" });
        bob.ask(&url, "/v1/pull-offline/pull", &since).await.status
    });
    assert_eq!(futures_util::future::join_all(looks).await, [200; 32]);
    tokio::task::block_in_place(|| {
        alone.mariadb.kill();
        alone.mariadb.run();
    });
    let since = json!({ "since": "0" });
    let answer = bob.ask(&url, "/v1/pull-offline/pull", &since).await;
    assert_eq!(answer.status, 200, "lost connections are replaced: {}", answer.text);

    let hello = json!({ "to": bob.user, "client_id": "1", "content": "hello" });
    alone.mariadb.kill();
    let answer = ann.ask(&url, "/v1/send/send-message", &hello).await;
    let told = answer.json();
    assert_eq!((answer.status, &told["code"]), (503, &json!("unavailable")), "{told}");
    assert_eq!(told["retryable"], true);
    tokio::task::block_in_place(|| alone.mariadb.run());
    let answer = ann.ask(&url, "/v1/send/send-message", &hello).await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    // A server that hangs costs its patience, and the message is kept all the same: the queue is a hint.
    alone.redis.freeze();
    let more = json!({ "to": bob.user, "client_id": "2", "content": "more" });
    let (stop, _) = watch::channel(0);
    let begun = ann.ask(&url, "/v1/send/send-message", &more).await;
    alone.redis.thaw();
    if begun.status != 200 {
        assert_eq!(begun.json()["retryable"], true, "{}", begun.text);
        ask_until_done(&url, "/v1/send/send-message", &more, &ann, &stop).await;
    }
    let kept = inbox(&url, &bob).await;
    assert_eq!(kept, [(1, "hello".to_owned()), (2, "more".to_owned())]);
}
