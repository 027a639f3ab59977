//! Nodes die in the middle of everything, and no message is lost.

mod cast;
mod newcomers;
mod person;

use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;

use self::cast::{Cast, manifest};
use self::newcomers::Newcomers;
use self::person::Until;
use crate::harness::client::PASSWORD;
use crate::harness::dice::Dice;
use crate::harness::node::Folder;
use crate::harness::{Client, Manifest, Node, http, within};

/// The only owner of a node.
fn only(node: Arc<Node>) -> Node {
    Arc::into_inner(node).expect("nobody talks any more")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_every_kill_and_nothing_is_there_twice() {
    let mut dice = Dice::thrown("kills in the middle of traffic");
    let manifest = manifest();
    let mut node = Arc::new(Node::with(&manifest));
    let mut cast = Cast::gather(&node).await;
    let mut unanswered = 0;
    for _ in 0..5 {
        let mut answers = cast.answers();
        let kill_at = *answers.borrow() + dice.between(1, 600);
        let talking = cast.talk(&node, Until::Closed);
        within("traffic", answers.wait_for(|answers| *answers >= kill_at))
            .await
            .expect("somebody talks");
        node.kill_now();
        cast.back(talking).await;
        unanswered += cast.unanswered();
        let folder = only(node).kill();
        node = Arc::new(Node::in_folder(&manifest, folder));
    }
    assert!(unanswered > 0, "the kills fell into calm");
    cast.finish(&node, 20).await;
    assert_eq!(cast.unanswered(), 0);
    assert_eq!(cast.check(&node).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_go_missing_between_a_kill_and_a_restart_are_noticed() {
    let manifest = manifest();
    let node = Arc::new(Node::with(&manifest));
    let mut cast = Cast::gather(&node).await;
    cast.finish(&node, 12).await;
    assert_eq!(cast.check(&node).await, Vec::<String>::new());
    let mut folder = only(node).kill();
    let whole = folder.path().join("whole.sqlite");
    let database = folder.path().join("data/mpim.sqlite");
    let connection = Connection::open(&database).expect("opened");
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("one file");
    drop(connection);
    std::fs::copy(&database, &whole).expect("copied");
    // The last message of a conversation, with everything that tells of it: only its receipt is left.
    let last = "CREATE TEMP TABLE gone AS SELECT id, conversation_id AS c FROM messages \
                WHERE recipient_id IS NOT NULL ORDER BY seq DESC LIMIT 1; \
                UPDATE conversations SET last_seq = last_seq - 1 WHERE id = (SELECT c FROM gone); \
                DELETE FROM inbox WHERE message_id = (SELECT id FROM gone); \
                DELETE FROM messages WHERE id = (SELECT id FROM gone)";
    let middle = "DELETE FROM inbox WHERE message_id = (SELECT MAX(id) FROM messages WHERE seq = 2); \
                  DELETE FROM messages WHERE id = (SELECT MAX(id) FROM messages WHERE seq = 2)";
    let entry = "DELETE FROM inbox WHERE (user_id, seq) = (SELECT user_id, MAX(seq) FROM inbox LIMIT 1)";
    for (damage, sign) in [
        (last, "answered, and lost"),
        (middle, "place 3 where 2 was to come"),
        (entry, "lacks message"),
    ] {
        // What the last node had not yet put into the file must not be put into this one.
        for kept in ["data/mpim.sqlite-wal", "data/mpim.sqlite-shm"] {
            let _ = std::fs::remove_file(folder.path().join(kept));
        }
        std::fs::copy(&whole, &database).expect("copied");
        let connection = Connection::open(&database).expect("opened");
        connection.execute_batch(damage).expect("damaged");
        drop(connection);
        let node = Node::in_folder(&manifest, folder);
        let differences = cast.check(&node).await;
        assert!(
            differences.iter().any(|difference| difference.contains(sign)),
            "{differences:?}"
        );
        folder = node.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_sessions_are_whole_or_not_there_after_a_kill() {
    let mut dice = Dice::thrown("kills in the middle of logins");
    let manifest = Manifest::default();
    let mut node = Arc::new(Node::with(&manifest));
    for round in 0..4 {
        let mut newcomers = Newcomers::new(round);
        let mut answers = newcomers.answers();
        let kill_at = dice.between(1, 150);
        let coming = newcomers.come(&node);
        within("logins", answers.wait_for(|answers| *answers >= kill_at))
            .await
            .expect("somebody comes");
        node.kill_now();
        newcomers.back(coming).await;
        node = Arc::new(Node::in_folder(&manifest, only(node).kill()));
        newcomers.check(&node).await;
    }
    let folder = only(node).kill();
    let connection = Connection::open(folder.path().join("data/mpim.sqlite")).expect("opened");
    let text = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .expect("a row")
    };
    let count = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .expect("a row")
    };
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(
        count("SELECT COUNT(*) FROM sessions WHERE user_id NOT IN (SELECT id FROM users)"),
        0
    );
    let twice = "SELECT COUNT(*) FROM (SELECT 1 FROM sessions WHERE ended_at IS NULL \
                 GROUP BY user_id, device HAVING COUNT(*) > 1)";
    assert_eq!(count(twice), 0, "two live sessions on one device");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_end_says_goodbye_and_loses_nothing() {
    let mut dice = Dice::thrown("an end in the middle of traffic");
    let manifest = manifest();
    let mut node = Arc::new(Node::with(&manifest));
    let mut cast = Cast::gather(&node).await;
    for _ in 0..2 {
        let mut answers = cast.answers();
        let end_at = *answers.borrow() + dice.between(1, 400);
        let talking = cast.talk(&node, Until::Closed);
        within("traffic", answers.wait_for(|answers| *answers >= end_at))
            .await
            .expect("somebody talks");
        node.terminate();
        for close in cast.back(talking).await {
            let close = close.expect("a goodbye");
            assert_eq!((u16::from(close.code), close.reason.as_str()), (1001, "shutting-down"));
        }
        let folder = node.folder.clone();
        assert_eq!(only(node).stop(), Some(0));
        node = Arc::new(Node::in_folder(&manifest, folder));
    }
    cast.finish(&node, 10).await;
    assert_eq!(cast.check(&node).await, Vec::<String>::new());
}

/// Two calls that take long are under way, over a WebSocket and over HTTP, when the node is told to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_are_answered_before_a_node_ends() {
    let manifest = Manifest::default()
        .set("application.tool.mpim.password.memory_kib", 256 * 1024)
        .set("application.tool.mpim.password.passes", 3)
        // One after the other, so that the call over HTTP is the last of all to end.
        .set("application.tool.mpim.password.parallel_max", 1)
        .set("application.tool.mpim.gateway.drain_within_ms", 30_000)
        .set("component.login.tool.mpim.deadline_ms", 30_000);
    let node = Arc::new(Node::with(&manifest));
    let mut client = Client::connect(&node).await;
    let account = |name: &str| json!({ "name": name, "password": PASSWORD });
    let call = client.begin("login.register", account("ann")).await;
    // Each of the two calls has a sandbox of its own; the first was made at the start.
    http::until_metric(&node, "mpim_gateway_frames_in_total", 1.0).await;
    let shared = node.clone();
    let body = account("bob").to_string();
    let posted = tokio::spawn(async move { http::call(&shared, "login", "register", body, None).await });
    http::until_metric(&node, r#"mpim_sandboxes_created_total{function="login"}"#, 2.0).await;
    node.terminate();
    let user = client.answer(call).await.expect("answered");
    assert!(user.is_string());
    let close = client.closed().await.expect("a goodbye");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1001, "shutting-down"));
    let response = posted.await.expect("answered");
    assert_eq!(response.status, 200, "{response:?}");
    let folder: Arc<Folder> = node.folder.clone();
    assert_eq!(only(node).stop(), Some(0));
    let node = Node::in_folder(&manifest, folder);
    let again = http::call(&node, "login", "register", account("bob").to_string(), None).await;
    assert_eq!(again.json()["code"], "already_exists", "what was answered was kept");
}
