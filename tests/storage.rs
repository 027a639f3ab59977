//! Servers that a node cannot use say so at its start: what is wrong, and where, without their secrets.

use std::process::Output;
use std::sync::Arc;

use serde_json::json;

use crate::harness::node::{Folder, mpim};
use crate::harness::{Client, Manifest, Node};
use servers::mariadb::Mariadb;
use servers::redis::Redis;

/// A command of the binary that ends by itself.
fn run(folder: &Folder, command: &str, arguments: &[&str]) -> Output {
    let mut binary = mpim();
    binary.arg(command).arg("--data").arg(folder.path().join("data"));
    if command == "up" {
        binary.args(["--listen", "127.0.0.1:0"]);
    }
    binary.args(arguments).output().expect("the binary runs")
}

/// What a node says that does not start.
fn refused(arguments: &[&str]) -> String {
    let output = run(&Folder::new(), "up", arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked") && !said.contains("hush"), "{said}");
    said
}

fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is not said in: {said}");
    }
}

#[test]
fn a_database_that_is_nowhere_is_named() {
    says(&refused(&["--mysql", "hush"]), &["the url of the store is wrong"]);
    says(
        &refused(&["--mysql", "mysql://me:hush@127.0.0.1:1"]),
        &["names no database"],
    );
    says(
        &refused(&["--mysql", "mysql://me:hush@127.0.0.1:1/mpim"]),
        &["127.0.0.1:1", "cannot be reached"],
    );
}

#[test]
fn a_redis_that_is_nothing_of_the_kind_is_named() {
    says(&refused(&["--redis", "hush"]), &["redis of cache", "did not parse"]);
}

#[test]
fn a_database_is_used_only_with_the_right_user_and_the_right_schema() {
    let server = Mariadb::start();
    let url = server.url("chat");
    let wrong = server.url_of("app:hush", "chat");
    says(&refused(&["--mysql", &wrong]), &["refuses the user"]);

    let folder = Folder::new();
    assert!(run(&folder, "migrate", &["--mysql", &url]).status.success());
    assert!(!folder.path().join("data").exists(), "it is all in the database");
    assert!(
        run(&folder, "migrate", &["--mysql", &url]).status.success(),
        "a second time"
    );

    server.sql(
        "DROP TABLE chat.workers, chat.last_seen, chat.replica_beats; \
         DELETE FROM chat.refinery_schema_history WHERE version > 1",
    );
    says(
        &refused(&["--mysql", &url]),
        &["database chat has schema version 1", "run mpim migrate"],
    );
    assert!(run(&folder, "migrate", &["--mysql", &url]).status.success());

    server.sql(
        "INSERT INTO chat.refinery_schema_history (version, name, applied_on, checksum) \
         VALUES (99, 'future', '2030-01-01T00:00:00Z', '1')",
    );
    says(
        &refused(&["--mysql", &url]),
        &["schema version 99", "knows versions up to"],
    );
}

/// Without leases and queues a node serves what it can, says what it lacks, and tells its clients to catch up once
/// it has them.
#[tokio::test]
async fn a_node_begins_without_its_redis_and_accepts_messages_meanwhile() {
    let mut redis = Redis::start();
    redis.kill();
    let manifest = Manifest::default().set("application.tool.mpim.cluster.resync_spread_ms", 10);
    let arguments = ["--redis", &redis.url()];
    let node = Node::with_arguments(&manifest, Arc::new(Folder::new()), &arguments);
    says(
        &node.log(),
        &["does not answer", "begins without it", &redis.port().to_string()],
    );
    let mut ann = Client::register(&node, "ann").await;
    let mut bob = Client::register(&node, "bob").await;
    let params = json!({ "to": bob.user, "client_id": "1", "content": "hello" });
    ann.call("send.send-message", params).await.expect("accepted");
    redis.restart();
    bob.notified("connection.resync").await;
    let page = bob.call("pull-offline.pull", json!({})).await.expect("a page");
    assert_eq!(page["entries"][0]["message"]["content"], "hello", "{page}");
}

#[tokio::test]
async fn a_redis_that_wants_a_password_is_told_of_without_telling_any() {
    let redis = Redis::start_with(&["--requirepass", "hush"]);
    let url = format!("redis://:wronghush@127.0.0.1:{}", redis.port());
    let arguments = ["--redis", &url];
    let node = Node::with_arguments(&Manifest::default(), Arc::new(Folder::new()), &arguments);
    says(&node.log(), &["user or password refused", &redis.port().to_string()]);
    assert!(!node.log().contains("hush"));
}
