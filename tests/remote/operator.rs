//! The operator's calls over HTTP, which are those that a node without functions makes: of every method, or on behalf
//! of a client.

use serde_json::{Value, json};

use crate::harness::client::PASSWORD;
use crate::harness::http::Response;
use crate::harness::{Node, http};

const ON_BEHALF: &str = "mpim-caller";

/// A call with a token and, perhaps, a caller.
async fn call(node: &Node, path: &str, params: &Value, token: Option<&str>, caller: Option<&str>) -> Response {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let bearer = bearer.iter().map(|bearer| ("authorization", bearer.as_str()));
    let headers: Vec<_> = bearer.chain(caller.map(|caller| (ON_BEHALF, caller))).collect();
    http::request_with(node, "POST", &format!("/v1/{path}"), params.to_string(), &headers).await
}

fn refusal(response: &Response) -> (u16, String) {
    let code = response.json()["code"].as_str().expect("a code").to_owned();
    (response.status, code)
}

/// A caller as the header says it.
fn caller(user: &str) -> String {
    json!({ "user": user, "session": "7", "device": "desk \u{e9}" })
        .to_string()
        .replace('\u{e9}', "\\u00e9")
}

#[tokio::test]
async fn the_operator_calls_any_method_without_a_caller() {
    let node = Node::start();
    let operator = node.operator_token();
    let operator = Some(operator.as_str());
    for (path, params) in [
        ("send/retry-pending", json!({})),
        ("presence/keep-last-seen", json!({})),
        ("route/clean-stale", json!({ "node": "gone", "alive": [] })),
        ("login/check-sessions", json!({ "connections": [] })),
        ("login/register", json!({ "name": "ann", "password": PASSWORD })),
    ] {
        let done = call(&node, path, &params, operator, None).await;
        assert_eq!(done.status, 200, "{path}: {}", done.text);
    }
    let nobody = call(&node, "groups/mine", &json!({}), operator, None).await;
    assert_eq!(refusal(&nobody), (401, "unauthenticated".to_owned()));
    let wrong = call(&node, "route/clean-stale", &json!({ "node": 1 }), operator, None).await;
    assert_eq!(refusal(&wrong), (400, "invalid".to_owned()));
    let unknown = call(&node, "send/no-such", &json!({}), operator, None).await;
    assert_eq!(refusal(&unknown), (404, "unknown_method".to_owned()));
}

#[tokio::test]
async fn the_operator_speaks_for_a_client_who_may_do_no_more_than_a_client() {
    let node = Node::start();
    let operator = node.operator_token();
    let operator = Some(operator.as_str());
    let (ann, bob) = (http::register(&node, "ann").await, http::register(&node, "bob").await);
    let message = json!({ "to": bob, "client_id": "1", "content": "for ann" });
    let sent = call(&node, "send/send-message", &message, operator, Some(&caller(&ann))).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    let token = http::login(&node, "bob", "phone").await;
    let page = http::done(&node, "pull-offline", "pull", &json!({}), Some(&token)).await;
    assert_eq!(page["entries"][0]["message"]["sender"], ann.as_str(), "{page}");

    let account = json!({ "name": "carl", "password": PASSWORD });
    let made = call(&node, "login/register", &account, operator, Some("anonymous")).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let nobody = call(&node, "groups/mine", &json!({}), operator, Some("anonymous")).await;
    assert_eq!(refusal(&nobody), (401, "unauthenticated".to_owned()));
    for someone in ["anonymous", &caller(&ann)] {
        let private = call(&node, "send/retry-pending", &json!({}), operator, Some(someone)).await;
        assert_eq!(refusal(&private), (404, "unknown_method".to_owned()), "{someone}");
    }
}

#[tokio::test]
async fn nonsense_in_the_header_speaks_for_nobody() {
    let node = Node::start();
    let operator = node.operator_token();
    for nonsense in [
        "",
        "nobody",
        "{}",
        r#"{"user":"1"}"#,
        r#"{"user":"x","session":"1","device":"d"}"#,
    ] {
        let refused = call(
            &node,
            "login/verify",
            &json!({ "token": "" }),
            Some(&operator),
            Some(nonsense),
        )
        .await;
        assert_eq!(refusal(&refused), (400, "invalid".to_owned()), "{nonsense}");
        assert!(refused.text.contains(ON_BEHALF), "{}", refused.text);
    }
}

#[tokio::test]
async fn nobody_but_the_operator_names_a_caller() {
    let node = Node::start();
    let (ann, _bob) = (http::register(&node, "ann").await, http::register(&node, "bob").await);
    let token = http::login(&node, "bob", "phone").await;
    let operator = node.operator_token();
    let almost = format!("{}0", &operator[..operator.len() - 1]);
    let almost = if almost == operator {
        format!("{}1", &operator[..operator.len() - 1])
    } else {
        almost
    };
    let longer = format!("{operator}0");
    for token in [None, Some(token.as_str()), Some(&almost), Some(&longer), Some("")] {
        for someone in [caller(&ann), "anonymous".to_owned(), String::new()] {
            let refused = call(&node, "groups/create", &json!({ "name": "x" }), token, Some(&someone)).await;
            // The status tells it from arguments that are invalid.
            assert_eq!(refusal(&refused), (403, "invalid".to_owned()), "{token:?} {someone}");
        }
        let private = call(&node, "send/retry-pending", &json!({}), token, None).await;
        assert_ne!(private.status, 200, "{token:?}");
    }
    let token = http::login(&node, "ann", "phone").await;
    let groups = http::done(&node, "groups", "mine", &json!({}), Some(&token)).await;
    assert_eq!(groups, json!([]), "nothing was done for ann");
}
