//! A node for tests, on an embedded store, and what it notes of others.

use std::path::Path;

use ::config::Settings;
use backends::{Cache, Metadata, Queue, Sql, memory, sqlite};
use contract::queue::Priority;
use wire::push::Push;

use super::*;

/// The services of a node with the store in a folder, which is made where it is not there.
fn node(folder: &Path, settings: &Settings) -> Services {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join("store");
    sqlite::migrate(&file, &settings.sqlite).unwrap();
    let backends = Backends {
        sql: Sql::Sqlite(sqlite::Sqlite::open(&file, &settings.sqlite).unwrap()),
        cache: Cache::Memory(memory::Cache::new(&settings.cache)),
        metadata: Metadata::Memory(memory::Metadata::new(&settings.metadata)),
        queue: Queue::Memory(memory::Queue::new(&settings.queue)),
        local_queue: None,
    };
    Services::new("node", backends, settings)
}

#[tokio::test]
async fn a_node_whose_queue_does_not_take_a_push_is_noted_as_behind() {
    let folder = std::env::temp_dir().join(format!("mpim-push-{}", std::process::id()));
    let mut settings = Settings::default();
    settings.queue.per_topic_max = 1;
    let node = node(&folder, &settings);
    node.peers.set_alive(vec!["full".to_owned(), "other".to_owned()]);
    let full = Push::topic("full");
    node.queue.publish(&full, Priority::Normal, Vec::new()).await.unwrap();
    let push = Push::Subscribe {
        users: vec![1],
        topic: "t".to_owned(),
    };
    assert!(publish(&push, &node).await.is_err());
    let behind: Vec<String> = node.peers.take_behind().into_iter().collect();
    assert_eq!(behind, ["full"], "and the other one has it");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn what_a_node_pushes_to_itself_does_not_go_by_the_queue_of_all() {
    let folder = std::env::temp_dir().join(format!("mpim-local-queue-{}", std::process::id()));
    let settings = Settings::default();
    let mut node = node(&folder, &settings);
    node.local_queue = Some(Queue::Memory(memory::Queue::new(&settings.queue)));
    node.peers.set_alive(vec!["node".to_owned(), "other".to_owned()]);
    let push = Push::Subscribe {
        users: vec![1],
        topic: "t".to_owned(),
    };
    publish(&push, &node).await.unwrap();
    let waiting = async |queue: &Queue, name| queue.receive(&Push::topic(name), "g", 9, 0).await.unwrap().len();
    let local = node.local_queue.as_ref().unwrap();
    assert_eq!(
        (waiting(local, "node").await, waiting(&node.queue, "node").await),
        (1, 0)
    );
    assert_eq!(
        (waiting(local, "other").await, waiting(&node.queue, "other").await),
        (0, 1)
    );
    std::fs::remove_dir_all(folder).unwrap();
}
