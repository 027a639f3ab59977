//! What a component keeps in the cache of its host: lists, counters, and that anything is there at all.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::node::Folder;
use crate::harness::{Client, Manifest, Node};
use servers::redis::Redis;

const INTERFACE: &str = "test:lists/lists";

fn manifest() -> Manifest {
    Manifest::default().function("lists", "lists", &[INTERFACE])
}

async fn push(client: &mut Client, end: &str, values: &[&str]) -> Value {
    let params = json!({ "end": end, "key": "k", "values": values, "ttl_ms": "600000" });
    client.call("lists.push", params).await.expect("pushed")
}

async fn range(client: &mut Client, start: i64, stop: i64) -> Value {
    let params = json!({ "key": "k", "start": start.to_string(), "stop": stop.to_string() });
    client.call("lists.range", params).await.expect("a range")
}

async fn code(client: &mut Client, method: &str, params: Value) -> (String, bool) {
    let error = client.call(method, params).await.expect_err("refused");
    (error.code, error.retryable)
}

async fn lists_and_counters_are_kept(node: &Node) {
    let mut ann = Client::register(node, "ann").await;
    assert_eq!(ann.call("lists.exists", json!({ "key": "k" })).await, Ok(json!(false)));
    assert_eq!(push(&mut ann, "right", &["a", "b"]).await, json!("2"));
    assert_eq!(push(&mut ann, "left", &["c", "d"]).await, json!("4"));
    assert_eq!(range(&mut ann, 0, -1).await, json!(["d", "c", "a", "b"]));
    assert_eq!(range(&mut ann, -2, 9).await, json!(["a", "b"]));
    assert_eq!(range(&mut ann, 4, 9).await, json!([]));
    assert_eq!(ann.call("lists.exists", json!({ "key": "k" })).await, Ok(json!(true)));

    let less = json!({ "key": "n", "by": "3" });
    assert_eq!(ann.call("lists.decrement", less.clone()).await, Ok(json!("-3")));
    assert_eq!(ann.call("lists.decrement", less).await, Ok(json!("-6")));
    assert_eq!(ann.call("lists.exists", json!({ "key": "n" })).await, Ok(json!(true)));

    let invalid = ("invalid".to_owned(), false);
    let other_kind = json!({ "key": "k", "by": "1" });
    assert_eq!(code(&mut ann, "lists.decrement", other_kind).await, invalid);
    let other_kind = json!({ "key": "n", "start": "0", "stop": "-1" });
    assert_eq!(code(&mut ann, "lists.range", other_kind).await, invalid);
    let many = vec!["x"; 1025];
    let too_many = json!({ "end": "left", "key": "k", "values": many, "ttl_ms": "600000" });
    assert_eq!(
        code(&mut ann, "lists.push", too_many).await,
        ("overloaded".to_owned(), true)
    );
    assert_eq!(range(&mut ann, 0, -1).await, json!(["d", "c", "a", "b"]));
}

#[tokio::test]
async fn a_component_keeps_lists_and_counters_in_memory() {
    lists_and_counters_are_kept(&Node::with(&manifest())).await;
}

#[tokio::test]
async fn a_component_keeps_lists_and_counters_in_redis() {
    let redis = Redis::start();
    let node = Node::with_arguments(&manifest(), Arc::new(Folder::new()), &["--redis", &redis.url()]);
    lists_and_counters_are_kept(&node).await;
    let kept = redis.ask(&["LRANGE", "mpim:cache:lists/k", "0", "-1"]);
    assert_eq!(kept.expect("an answer"), "d\nc\na\nb", "under the key of the function");
}
