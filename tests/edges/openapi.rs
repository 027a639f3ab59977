//! The description of the HTTP edge is true: it is compared with what runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Client, Node, http, manifest};

async fn document(node: &Node) -> Value {
    let response = http::get(node, "/openapi.json", None).await;
    assert_eq!(
        (response.status, response.content_type.as_str()),
        (200, "application/json")
    );
    response.json()
}

/// Function, name and facts of each method that runs.
async fn methods(node: &Node) -> Vec<(String, Value)> {
    let running = http::get(node, "/admin/functions", Some(&node.operator_token()))
        .await
        .json();
    let functions = running["functions"].as_array().expect("a list");
    let of = |function: &Value| {
        let name = function["name"].as_str().expect("a name").to_owned();
        let methods = function["methods"].as_array().expect("a list").clone();
        methods.into_iter().map(move |method| (name.clone(), method))
    };
    functions.iter().flat_map(of).collect()
}

fn path((function, method): &(String, Value)) -> String {
    format!("/v1/{function}/{}", method["name"].as_str().expect("a name"))
}

#[tokio::test]
async fn every_public_method_is_described_and_no_other() {
    let node = Node::start();
    let (document, methods) = (document(&node).await, methods(&node).await);
    let public: BTreeSet<String> = methods
        .iter()
        .filter(|(_, method)| method["public"] == true)
        .map(path)
        .collect();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    assert_eq!(described, public);
    assert!(public.contains("/v1/send/send-message") && !public.contains("/v1/send/retry-pending"));
    assert!(methods.iter().any(|(_, method)| method["public"] == false));
}

#[tokio::test]
async fn a_method_for_users_asks_for_a_token_and_for_no_caller() {
    let node = Node::start();
    let document = document(&node).await;
    for method in methods(&node)
        .await
        .iter()
        .filter(|(_, method)| method["public"] == true)
    {
        let operation = &document["paths"][path(method)]["post"];
        let asks = operation.get("security").is_some();
        assert_eq!(json!(asks), method.1["needs_caller"], "{}", path(method));
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert!(schema["properties"].get("caller").is_none() && schema["additionalProperties"] == false);
        assert!(operation["responses"]["200"].is_object() && operation["responses"]["default"].is_object());
    }
}

#[tokio::test]
async fn the_schemas_are_whole_and_say_what_is_answered() {
    let node = Node::start();
    let document = document(&node).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    gather(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("within the document").to_owned();
        assert!(document.pointer(&pointer).is_some_and(Value::is_object), "{reference}");
    }
    let mut ann = Client::register(&node, "ann").await;
    let bob = http::register(&node, "bob").await;
    let params = json!({ "to": bob, "client_id": "1", "content": "hello" });
    let receipt = ann.call("send.send-message", params.clone()).await.expect("sent");
    let operation = &document["paths"]["/v1/send/send-message"]["post"];
    let result = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    fits(&document, result, &receipt);
    fits(
        &document,
        &operation["requestBody"]["content"]["application/json"]["schema"],
        &params,
    );
    let page = ann.call("pull-offline.conversations", json!({})).await.expect("listed");
    let operation = &document["paths"]["/v1/pull-offline/conversations"]["post"];
    fits(
        &document,
        &operation["responses"]["200"]["content"]["application/json"]["schema"],
        &page,
    );
}

/// Every `$ref` below a value.
fn gather(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.extend(
                object
                    .get("$ref")
                    .map(|reference| reference.as_str().expect("text").to_owned()),
            );
            object.values().for_each(|value| gather(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
        _ => {}
    }
}

/// Checks a value against a schema, as far as these schemas go.
fn fits(document: &Value, schema: &Value, value: &Value) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').expect("within the document");
        return fits(document, document.pointer(pointer).expect("there"), value);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let object = value.as_object().unwrap_or_else(|| panic!("{value} is no object"));
            let required = schema["required"].as_array().expect("a list");
            assert!(
                required
                    .iter()
                    .all(|key| object.contains_key(key.as_str().expect("text"))),
                "{value} lacks a key"
            );
            for (key, value) in object {
                let property = schema["properties"]
                    .get(key)
                    .unwrap_or_else(|| panic!("{key} is not described"));
                fits(document, property, value);
            }
        }
        Some("array") => value
            .as_array()
            .expect("a list")
            .iter()
            .for_each(|item| fits(document, &schema["items"], item)),
        Some("string") => {
            let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
            assert!(schema["format"] != "uint64" || text.parse::<u64>().is_ok(), "{text}");
            let known = schema["enum"].as_array();
            assert!(
                known.is_none_or(|known| known.contains(value)),
                "{text} is none of {known:?}"
            );
        }
        Some("integer") => assert!(value.is_u64(), "{value}"),
        Some("boolean") => assert!(value.is_boolean(), "{value}"),
        other => panic!("a schema of type {other:?}"),
    }
}

#[tokio::test]
async fn the_description_has_the_words_of_the_interfaces() {
    let component = std::fs::read(manifest::root().join("target/components/send.wasm")).expect("built");
    if !component.windows(8).any(|window| window == b"mpim:wit") {
        // A component that was built without its text has no words to show.
        return;
    }
    let node = Node::start();
    let document = document(&node).await;
    let said = |path: &str| {
        document["paths"][path]["post"]["description"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    assert!(said("/v1/send/send-message").contains("Answers when the message is durable."));
    assert!(said("/v1/login/login").starts_with("Opens a session on a device."));
    let tags = document["tags"].as_array().expect("a list");
    let send = tags.iter().find(|tag| tag["name"] == "send").expect("described");
    assert_eq!(send["description"], "Sending, and what becomes of a message.");
}
