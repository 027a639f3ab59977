//! A new component is a function by an entry in the manifest alone: the host has never heard of it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::node::{Folder, mpim};
use crate::harness::{Client, Manifest, Node, http};

const INTERFACE: &str = "test:echo/echo";

fn with_echo() -> Manifest {
    Manifest::default().function("echo", "echo", &[INTERFACE])
}

/// A value of every kind, each at an end of its range.
pub fn everything() -> Value {
    json!({
        "text": "hello \u{0} \u{1F980} \"\\",
        "mood": "calm",
        "marks": ["bold", "crossed_out"],
        "shape": { "between": [-2_147_483_648_i64, 2_147_483_647] },
        "bytes": "AAH/",
        "ids": ["0", "18446744073709551615"],
        "largest": "18446744073709551615",
        "least": "-9223372036854775808",
        "small_unsigned": 255,
        "small_signed": -128,
        "short_unsigned": 65_535,
        "short_signed": -32_768,
        "word_unsigned": 4_294_967_295_u32,
        "word_signed": -2_147_483_648_i64,
        "letter": "\u{1F980}",
        "ratio": -1.797_693_134_862_315_7e308,
        "single_ratio": 0.5,
        "truth": true,
        "maybe": 0,
        "pair": ["two", "9007199254740993"],
        "outcome": { "err": "no" },
    })
}

/// Calls over both edges, and checks that they agree.
async fn both(node: &Node, client: &mut Client, method: &str, params: Value) -> Value {
    let over_socket = client.call(&format!("echo.{method}"), params.clone()).await;
    let over_http = http::done(node, "echo", method, &params, Some(&client.token)).await;
    assert_eq!(over_socket, Ok(over_http.clone()), "{method}");
    over_http
}

#[tokio::test]
async fn a_component_that_nobody_knows_is_called_over_both_edges() {
    let node = Node::with(&with_echo());
    let mut ann = Client::register(&node, "ann").await;
    assert_eq!(
        both(&node, &mut ann, "say", json!({ "text": "hello" })).await,
        json!("hello")
    );
    assert_eq!(both(&node, &mut ann, "whisper", json!({ "text": "" })).await, json!(""));
    assert_eq!(both(&node, &mut ann, "whoami", json!({})).await, json!(ann.user));
}

#[tokio::test]
async fn a_value_of_every_kind_goes_through_unchanged() {
    let node = Node::with(&with_echo());
    let mut ann = Client::register(&node, "ann").await;
    let mut expected = everything();
    expected["text"] = "HELLO \u{0} \u{1F980} \"\\".into();
    expected["mood"] = "very_loud".into();
    let shouted = both(&node, &mut ann, "shout", json!({ "thing": everything() })).await;
    assert_eq!(shouted, expected);
    for (field, value) in [
        ("shape", json!("point")),
        ("shape", json!({ "circle": 0.1 })),
        ("shape", json!({ "named": "" })),
        ("marks", json!([])),
        ("bytes", json!("")),
        ("ids", json!([])),
        ("outcome", json!({ "ok": 4_294_967_295_u32 })),
        ("least", json!("9223372036854775807")),
    ] {
        let mut thing = everything();
        thing[field] = value.clone();
        let shouted = both(&node, &mut ann, "shout", json!({ "thing": thing })).await;
        assert_eq!(shouted[field], value);
    }
}

#[tokio::test]
async fn absent_and_null_are_both_nothing_and_nothing_is_absent() {
    let node = Node::with(&with_echo());
    let mut ann = Client::register(&node, "ann").await;
    for nothing in [None, Some(Value::Null)] {
        let mut thing = everything();
        thing.as_object_mut().expect("an object").remove("maybe");
        if let Some(null) = nothing {
            thing["maybe"] = null;
        }
        let shouted = both(&node, &mut ann, "shout", json!({ "thing": thing })).await;
        assert_eq!(shouted.get("maybe"), None);
    }
}

#[tokio::test]
async fn an_error_of_its_own_type_has_its_name_as_code() {
    let node = Node::with(&with_echo());
    let mut ann = Client::register(&node, "ann").await;
    for (how, retryable) in [("lost_voice", false), ("timeout", true)] {
        let error = ann.call("echo.stumble", json!({ "how": how })).await.expect_err(how);
        assert_eq!((error.code.as_str(), error.retryable), (how, retryable));
        let problem = http::call(&node, "echo", "stumble", json!({ "how": how }).to_string(), None).await;
        assert_eq!(
            (&problem.json()["code"], &problem.json()["retryable"]),
            (&json!(how), &json!(retryable))
        );
    }
}

#[tokio::test]
async fn who_calls_is_filled_in_by_the_host_and_by_nobody_else() {
    let node = Node::with(&with_echo());
    let mut stranger = Client::connect(&node).await;
    let error = stranger
        .call("echo.whoami", json!({}))
        .await
        .expect_err("not logged in");
    assert_eq!(error.code, "unauthenticated");
    assert_eq!(http::call(&node, "echo", "whoami", "{}", None).await.status, 401);
    let mut ann = Client::register(&node, "ann").await;
    let caller = json!({ "user": "1", "session": "1", "device": "x" });
    let error = ann
        .call("echo.whoami", json!({ "caller": caller }))
        .await
        .expect_err("not taken");
    assert_eq!(error.code, "invalid");
}

#[tokio::test]
async fn a_function_that_is_not_public_is_not_there() {
    let node = Node::with(&Manifest::default().function("echo", "echo", &[]));
    let mut ann = Client::register(&node, "ann").await;
    let error = ann.call("echo.say", json!({ "text": "x" })).await.expect_err("private");
    assert_eq!(error.code, "unknown_method");
    let described = http::get(&node, "/openapi.json", None).await.json();
    assert!(described["paths"].get("/v1/echo/say").is_none());
}

/// A component that exports an instance of one function without parameters.
fn exporting(instance: &str, function: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $code (func (export "f")))
            (core instance $code (instantiate $code))
            (func $f (canon lift (core func $code "f")))
            (instance $exported (export "{function}" (func $f)))
            (export "{instance}" (instance $exported)))"#
    );
    wat::parse_str(text).expect("a component")
}

#[test]
fn an_interface_is_of_one_function_but_a_name_without_a_package_of_many() {
    let folder = Arc::new(Folder::new());
    let exported_by_both = |instance: &str| {
        let mut manifest = Manifest::default();
        for function in ["one", "other"] {
            let file = folder.path().join(format!("{function}.wasm"));
            std::fs::write(&file, exporting(instance, "init")).expect("written");
            manifest = manifest.set(&format!("component.{function}.source"), file.display().to_string());
        }
        Node::try_in_folder(&manifest, folder.clone())
    };
    let refused = exported_by_both("test:both/both@0.1.0").err().expect("refused");
    assert!(
        refused.contains("`test:both/both@0.1.0` is exported by both one and other"),
        "{refused}"
    );
    assert_eq!(exported_by_both("exports").expect("it starts").stop(), Some(0));
}

#[tokio::test]
async fn a_function_is_described_from_its_types() {
    let node = Node::with(&with_echo());
    let described = http::get(&node, "/openapi.json", None).await.json();
    let shout = &described["paths"]["/v1/echo/shout"]["post"];
    assert_eq!(shout["operationId"], "echo.shout");
    let thing = &shout["requestBody"]["content"]["application/json"]["schema"]["properties"]["thing"];
    assert_eq!(thing, &json!({ "$ref": "#/components/schemas/echo.everything" }));
    let schema = &described["components"]["schemas"]["echo.everything"];
    assert_eq!(schema["properties"]["largest"]["type"], "string");
    assert_eq!(schema["properties"]["bytes"]["contentEncoding"], "base64");
    let required = schema["required"].as_array().expect("a list");
    assert!(required.contains(&json!("text")) && !required.contains(&json!("maybe")));
    assert_eq!(
        described["components"]["schemas"]["echo.mood"]["enum"],
        json!(["calm", "loud", "very_loud"])
    );
    assert_eq!(
        described["paths"]["/v1/echo/whoami"]["post"]["security"],
        json!([{ "token": [] }])
    );
}

#[tokio::test]
async fn the_operator_sees_it_in_the_list() {
    let node = Node::with(&with_echo());
    let mut list = mpim();
    list.args(["functions", "--url", &node.url, "--data"])
        .arg(node.folder.path().join("data"));
    let output = tokio::task::spawn_blocking(move || list.output())
        .await
        .expect("joined")
        .expect("it runs");
    let listed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let echo = listed
        .split("\n\n")
        .find(|function| function.starts_with("echo "))
        .expect("listed");
    assert!(echo.contains("say"), "{echo}");
    assert!(
        echo.lines()
            .any(|line| line.contains("whoami") && line.contains("for logged-in users")),
        "{echo}"
    );
    assert!(echo.contains("test:echo/echo@0.1.0"), "{echo}");
}
