//! The disk does not do what it should while a node runs: writes fail as such, reads go on, nothing that was
//! answered is lost, and all is well when the disk is.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::node::Folder;
use crate::harness::{Client, Manifest, Node, RpcError};

/// Gives up on a lock soon, and tries a store that failed again soon.
fn impatient() -> Manifest {
    Manifest::default()
        .set("application.tool.mpim.sqlite.busy_timeout_ms", 20)
        .set("application.tool.mpim.breaker.failures", 3)
        .set("application.tool.mpim.breaker.open_ms", 1_000)
}

async fn send(from: &mut Client, to: &str, number: u32, bytes: usize) -> Result<Value, RpcError> {
    let content = format!("{number} {}", "x".repeat(bytes));
    let params = json!({ "to": to, "client_id": number.to_string(), "content": content });
    from.call("send.send-message", params).await
}

/// The client ids of the whole conversation, each of which is there once.
async fn kept(client: &mut Client, conversation: &Value) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut after = "0".to_owned();
    loop {
        let params = json!({ "conversation": conversation, "after": after, "limit": 200 });
        let page = client.call("pull-offline.history", params).await.expect("read");
        let Some(last) = page.as_array().expect("a list").last() else {
            return found;
        };
        after = last["seq"].as_str().expect("a place").to_owned();
        for message in page.as_array().expect("a list") {
            let number = message["client_id"].as_str().expect("an id").parse().expect("a number");
            assert!(found.insert(number), "{number} is there twice");
        }
    }
}

/// Two users, of whom the first has sent message 0. Gives the conversation too.
async fn pair(node: &Node) -> (Client, Client, Value) {
    let mut ann = Client::register(node, "ann").await;
    let bob = Client::register(node, "bob").await;
    let first = send(&mut ann, &bob.user, 0, 0).await.expect("sent");
    (ann, bob, first["conversation"].clone())
}

fn is_unavailable(error: &RpcError) {
    assert_eq!(
        (error.code.as_str(), error.retryable),
        ("unavailable", true),
        "{error:?}"
    );
    assert!(
        !error.message.contains("sqlite"),
        "a client is told no file: {}",
        error.message
    );
}

#[tokio::test]
async fn a_locked_database_refuses_writes_answers_reads_and_works_again_when_it_is_free() {
    let mut node = Node::with(&impatient());
    let (mut ann, mut bob, conversation) = pair(&node).await;
    let locker = Connection::open(node.folder.path().join("data/mpim.sqlite")).expect("opened");
    locker.busy_timeout(crate::harness::PATIENCE).expect("set");
    locker.execute_batch("BEGIN IMMEDIATE").expect("locked");
    // More failures in a row than the breaker of the writes allows: those of the reads must not be among them.
    for number in 1..=20 {
        is_unavailable(&send(&mut ann, &bob.user, number, 0).await.expect_err("locked"));
        if number % 10 == 0 {
            assert_eq!(kept(&mut bob, &conversation).await, BTreeSet::from([0]), "reads go on");
        }
    }
    let error = Client::login(&node, "ann", "laptop", Some("laptop"))
        .await
        .err()
        .expect("a login writes");
    is_unavailable(&error);
    locker.execute_batch("ROLLBACK").expect("free");
    for number in 1..=20 {
        at_last(&mut ann, &bob.user, number, 0).await;
    }
    assert_eq!(kept(&mut bob, &conversation).await, (0..=20).collect());
    assert!(node.is_running());
    assert_eq!(bob.notified("message").await["body"]["client_id"], "0");
}

/// Sends until it is sent; every failure on the way says that it may be tried again.
async fn at_last(from: &mut Client, to: &str, number: u32, bytes: usize) -> Value {
    loop {
        match send(from, to, number, bytes).await {
            Ok(receipt) => return receipt,
            Err(error) => is_unavailable(&error),
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing_that_was_answered() {
    let mut node = Node::with_files_of_at_most(&impatient(), 2_048, Arc::new(Folder::new()));
    let (mut ann, mut bob, conversation) = pair(&node).await;
    let mut answered = BTreeSet::from([0]);
    let mut failures = 0;
    for number in 1..2_000 {
        match send(&mut ann, &bob.user, number, 8_000).await {
            Ok(_) => drop(answered.insert(number)),
            Err(error) => {
                is_unavailable(&error);
                failures += 1;
                assert!(
                    kept(&mut bob, &conversation).await.is_superset(&answered),
                    "reads go on"
                );
            }
        }
        if failures == 20 {
            break;
        }
    }
    assert_eq!(failures, 20, "the disk was full after {} messages", answered.len());
    assert!(answered.len() > 10, "{answered:?}");
    assert!(node.is_running());
    let node = Node::in_folder(&impatient(), node.kill());
    let mut bob = Client::resume(&node, &bob.token).await.expect("resumed");
    let found = kept(&mut bob, &conversation).await;
    assert!(
        found.is_superset(&answered),
        "lost: {:?}",
        answered.difference(&found).collect::<Vec<_>>()
    );
    let mut ann = Client::resume(&node, &ann.token).await.expect("resumed");
    send(&mut ann, &bob.user, 9_999, 0).await.expect("there is room again");
}

#[tokio::test]
async fn a_disk_that_has_room_again_takes_writes_again_without_a_restart() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        eprintln!("skipped: there is no prlimit to make room with");
        return;
    }
    let node = Node::with_files_of_at_most(&impatient(), 2_048, Arc::new(Folder::new()));
    let (mut ann, mut bob, conversation) = pair(&node).await;
    let mut number = 1;
    let error = loop {
        match send(&mut ann, &bob.user, number, 8_000).await {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    is_unavailable(&error);
    let room = Command::new("prlimit")
        .args(["--pid", &node.id().to_string(), "--fsize=unlimited:"])
        .status();
    assert!(room.expect("it runs").success());
    at_last(&mut ann, &bob.user, number, 8_000).await;
    assert_eq!(kept(&mut bob, &conversation).await, (0..=number).collect());
}
