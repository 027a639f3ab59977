//! Reading all that a node has kept, as a device would that has seen nothing.

use serde_json::{Value, json};

use super::accounts::{Found, Kept};
use super::client::PASSWORD;
use super::{Client, Node};

/// Reads all that a user may read, from a device that has seen nothing.
pub async fn audit(node: &Node, name: &str, user: u64, found: &mut Found) {
    let mut client = Client::connect(node).await;
    let login = json!({ "name": name, "password": PASSWORD, "device": "audit", "device_class": "audit" });
    client.call("login.login", login).await.expect("logged in");
    let mut inbox = Vec::new();
    let mut since = "0".to_owned();
    loop {
        let params = json!({ "since": since, "limit": 500 });
        let page = client.call("pull-offline.pull", params).await.expect("a page");
        for entry in page["entries"].as_array().expect("entries") {
            inbox.push((number(&entry["cursor"]), number(&entry["message"]["id"])));
        }
        since = page["next"].as_str().expect("a place").to_owned();
        if page["more"] != true {
            break;
        }
    }
    found.inboxes.insert(user, inbox);
    let conversations = client
        .call("pull-offline.conversations", json!({ "limit": 200 }))
        .await
        .expect("a list");
    for conversation in conversations.as_array().expect("a list") {
        let kept = history(&mut client, &conversation["id"]).await;
        let last = number(&conversation["last_seq"]);
        assert_eq!(
            kept.last().map_or(0, |kept| kept.seq),
            last,
            "the head of a conversation is its last message"
        );
        let id = number(&conversation["id"]);
        let before = found.conversations.entry(id).or_insert_with(|| kept.clone());
        assert_eq!(*before, kept, "all members read the same");
    }
}

async fn history(client: &mut Client, conversation: &Value) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::new();
    loop {
        let after = kept.last().map_or(0, |kept| kept.seq).to_string();
        let params = json!({ "conversation": conversation, "after": after, "limit": 200 });
        let page = client.call("pull-offline.history", params).await.expect("a page");
        let page = page.as_array().expect("messages");
        if page.is_empty() {
            return kept;
        }
        kept.extend(page.iter().map(|message| Kept {
            message: number(&message["id"]),
            seq: number(&message["seq"]),
            sender: number(&message["sender"]),
            client_id: message["client_id"].as_str().expect("text").to_owned(),
            content: message["content"].as_str().expect("text").to_owned(),
        }));
    }
}

/// A number as the wire has it.
pub fn number(value: &Value) -> u64 {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{value} is no number"))
}
