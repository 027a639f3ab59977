//! A node on MySQL itself, whose newest releases are stricter than MariaDB: see `cargo xtask mysql`.

use std::sync::Arc;

use serde_json::json;

use crate::chat::{calm_manifest, send};
use crate::harness::node::Folder;
use crate::harness::{Client, Node};
use servers::mysql::Mysql;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server of MySQL: cargo xtask mysql"]
async fn people_chat_on_mysql_over_the_death_of_node_and_server() {
    let mut server = Mysql::start();
    let url = server.url("chat");
    let start = |folder| Node::with_arguments(&calm_manifest(), folder, &["--mysql", &url]);
    let node = start(Arc::new(Folder::new()));
    let mut ann = Client::register(&node, "ann").await;
    let mut bob = Client::register(&node, "bob").await;
    let sent = send(&mut ann, &bob.user, "1", "hello").await;
    let heard = bob.notified("message").await;
    assert_eq!(heard["body"]["content"], "hello");
    bob.call("send.ack", json!({ "messages": [sent["message"]], "cursor": "1" }))
        .await
        .expect("acknowledged");
    assert_eq!(ann.notified("receipt").await["body"]["state"], "delivered");

    let group = ann
        .call("groups.create", json!({ "name": "pets" }))
        .await
        .expect("made");
    bob.call("groups.join", json!({ "group": group["id"] }))
        .await
        .expect("joined");
    let said = json!({ "group": group["id"], "client_id": "2", "content": "to all" });
    ann.call("send.send-group-message", said).await.expect("accepted");
    assert_eq!(bob.notified("message").await["body"]["content"], "to all");

    let repeated = send(&mut ann, &bob.user, "1", "hello").await;
    assert_eq!(repeated["message"], sent["message"], "told once, kept once");
    let folder = node.kill();
    server.kill();
    tokio::task::block_in_place(|| server.run());

    let node = start(folder);
    let mut bob = Client::login(&node, "bob", "phone", None).await.expect("logged in");
    let everything = json!({ "since": "0" });
    let page = bob.call("pull-offline.pull", everything).await.expect("a page");
    let contents: Vec<_> = page["entries"].as_array().expect("a list").iter().collect();
    let contents: Vec<_> = contents
        .iter()
        .filter_map(|entry| entry["message"]["content"].as_str())
        .collect();
    assert_eq!(contents, ["hello", "to all"], "{page}");
}
