//! Frames that chance has damaged, and values that chance has chosen.

use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::dice::Dice;
use crate::harness::{Client, Node, http};

const FRAMES: u32 = 2_000;

/// What JSON and JSON-RPC stumble over.
const WORDS: &[&str] = &[
    "null",
    "true",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    ":",
    "\\ud800",
    "\\u0000",
    "\u{0}",
    "-",
    "1e999",
    "-0",
    "0.1",
    "18446744073709551616",
    "99999999999999999999999999",
    "\"id\":",
    "\"id\":null,",
    "\"method\":\"\",",
    "[[[[[[[[",
    "{}",
    "\"params\":[],",
    "login.",
    "connection.resume",
    ".",
    "\u{feff}",
    "\u{10ffff}",
    "/*",
    "NaN",
];

fn seeds(to: &str) -> Vec<String> {
    let call = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let send = json!({ "to": to, "client_id": "c1", "content": "hello", "priority": "high", "qos": "exactly_once" });
    let calls = [
        call("send.send-message", send),
        call("send.ack", json!({ "messages": ["1", "2"], "cursor": "1" })),
        call("send.mark-read", json!({ "conversation": "1", "up_to": 1 })),
        call("pull-offline.pull", json!({ "since": "0", "limit": 10 })),
        call(
            "pull-offline.history",
            json!({ "conversation": "1", "before": "9", "limit": 1 }),
        ),
        call("groups.create", json!({ "name": "g", "join": "open" })),
        call("contacts.find", json!({ "name": "bob" })),
        call("presence.batch-get-status", json!({ "users": [to, "1"] })),
        call("login.verify", json!({ "token": "abc" })),
        call("connection.resume", json!({ "token": "abc" })),
    ];
    let mut seeds: Vec<String> = calls.iter().map(Value::to_string).collect();
    seeds.push(json!([calls[1], calls[3], calls[6]]).to_string());
    seeds
}

/// A seed after a few accidents.
fn damaged(dice: &mut Dice, seeds: &[String]) -> Vec<u8> {
    let mut bytes = pick(dice, seeds).clone().into_bytes();
    for _ in 0..dice.between(1, 5) {
        let at = place(dice, bytes.len());
        match dice.between(0, 8) {
            0 => drop(bytes.splice(at..at, pick(dice, WORDS).bytes())),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..(at + place(dice, 8)).min(bytes.len()))),
            3 => {
                let from = place(dice, bytes.len());
                let copy = bytes[from.min(at)..from.max(at)].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            4 => {
                let other = pick(dice, seeds).as_bytes();
                drop(bytes.splice(at.., other[place(dice, other.len())..].iter().copied()));
            }
            5 => bytes.insert(at, u8::try_from(dice.between(0, 256)).expect("a byte")),
            6 => bytes.insert(
                at,
                u8::try_from(dice.between(b'0'.into(), 1 + u64::from(b'9'))).expect("a digit"),
            ),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.between(0, 7);
                }
            }
        }
    }
    bytes.truncate(60_000);
    bytes
}

fn place(dice: &mut Dice, length: usize) -> usize {
    usize::try_from(dice.between(0, length as u64 + 1)).expect("a place")
}

fn pick<'a, T>(dice: &mut Dice, from: &'a [T]) -> &'a T {
    &from[place(dice, from.len() - 1)]
}

/// Sends a damaged frame and a call behind it. Gives the answers to the frame, or the code of the close.
async fn answers(client: &mut Client, bytes: &[u8], number: u32) -> Result<Vec<Value>, Option<u16>> {
    let damaged = Frame::message(bytes.to_vec(), OpCode::Data(Data::Text), true);
    let id = format!("behind {number}");
    let probe = json!({ "jsonrpc": "2.0", "id": id, "method": "groups.info", "params": { "group": "1" } });
    client.send(Message::Frame(damaged)).await;
    client.send(Message::text(probe.to_string())).await;
    let mut answers = Vec::new();
    loop {
        match client.answered().await {
            Ok(answer) if answer["id"] == id => return Ok(answers),
            Ok(answer) => answers.push(answer),
            Err(close) => return Err(close.map(|close| close.code.into())),
        }
    }
}

/// How many answers a frame may have: one, or none when all of its requests want none.
fn expected(text: &str) -> &'static [usize] {
    match serde_json::from_str(text) {
        Ok(Value::Object(request)) if !request.contains_key("id") => &[0, 1],
        Ok(Value::Array(requests)) if requests.iter().all(|request| request.get("id").is_none()) => &[0, 1],
        _ => &[1],
    }
}

#[tokio::test]
async fn damaged_frames_are_answered_or_end_their_connection() {
    let node = Node::start();
    let mut dice = Dice::thrown("damaged_frames_are_answered_or_end_their_connection");
    let (mut ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let away = http::register(&node, "away").await;
    let mut mallory = Client::register(&node, "mallory").await;
    let seeds = seeds(&away);
    for number in 0..FRAMES {
        let bytes = damaged(&mut dice, &seeds);
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        match (answers(&mut mallory, &bytes, number).await, std::str::from_utf8(&bytes)) {
            (Ok(answers), Ok(text)) => {
                assert!(expected(text).contains(&answers.len()), "{shown}\n{answers:?}");
                for answer in answers
                    .iter()
                    .flat_map(|answer| answer.as_array().cloned().unwrap_or(vec![answer.clone()]))
                {
                    assert_ne!(answer["error"]["data"]["code"], "internal", "{shown}");
                    assert!(
                        answer.get("error").is_some() != answer.get("result").is_some(),
                        "{shown}\n{answer}"
                    );
                }
            }
            (Err(close), Err(_)) => {
                assert_eq!(close, Some(1007), "{shown}");
                mallory = Client::resume(&node, &mallory.token)
                    .await
                    .expect("a fresh connection works");
            }
            (outcome, _) => panic!("{shown}\n{outcome:?}"),
        }
        if number % 100 == 0 {
            let message = json!({ "to": bob.user, "client_id": number.to_string(), "content": number.to_string() });
            ann.call("send.send-message", message).await.expect("sent");
            while heard_by(&mut bob).await != (ann.user.clone(), number.to_string()) {}
        }
    }
    let mut fresh = Client::resume(&node, &mallory.token)
        .await
        .expect("a fresh connection works");
    fresh.call("groups.mine", json!({})).await.expect("answered");
    assert!(
        !node.log().contains("panicked") && !node.log().contains("a component failed"),
        "{}",
        node.log()
    );
}

/// Who sent the next message, and what.
async fn heard_by(client: &mut Client) -> (String, String) {
    let body = client.notified("message").await["body"].clone();
    let text = |key: &str| body[key].as_str().expect("text").to_owned();
    (text("sender"), text("content"))
}

/// A value that fits a schema, at the edges of what fits.
fn value(dice: &mut Dice, schema: &Value, all: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return value(
            dice,
            &all["components"]["schemas"][name.rsplit('/').next().expect("a name")],
            all,
        );
    }
    if let Some(names) = schema["enum"].as_array() {
        return pick(dice, names).clone();
    }
    match schema["type"].as_str() {
        Some("integer") => {
            let (low, high) = (
                schema["minimum"].as_i64().expect("a bound"),
                schema["maximum"].as_i64().expect("a bound"),
            );
            json!(pick(dice, &[low, high, 0, 1]))
        }
        Some("boolean") => json!(dice.between(0, 2) == 0),
        Some("array") => (0..*pick(dice, &[0, 1, 2, 600]))
            .map(|_| value(dice, &schema["items"], all))
            .collect(),
        Some("object") => object(dice, schema, all),
        Some("string") if schema["format"] == "uint64" => {
            json!(pick(
                dice,
                &[
                    "0",
                    "1",
                    "4096",
                    "9223372036854775807",
                    "9223372036854775808",
                    "18446744073709551615"
                ]
            ))
        }
        _ => {
            let long = "x".repeat(20_000);
            json!(pick(
                dice,
                &[
                    "",
                    " ",
                    "a",
                    "\u{0}",
                    "%",
                    "_",
                    "'\";--",
                    "\u{10ffff}",
                    "\u{202e}",
                    "İ",
                    "\r\n",
                    &*long
                ]
            ))
        }
    }
}

fn object(dice: &mut Dice, schema: &Value, all: &Value) -> Value {
    let required = schema["required"].as_array().expect("a list");
    let mut object = Map::new();
    for (name, schema) in schema["properties"].as_object().expect("an object") {
        if required.contains(&json!(name)) || dice.between(0, 2) == 0 {
            object.insert(name.clone(), value(dice, schema, all));
        }
    }
    Value::Object(object)
}

#[tokio::test]
async fn no_value_that_fits_its_type_is_too_much_for_a_method() {
    let node = Node::start();
    let mut dice = Dice::thrown("no_value_that_fits_its_type_is_too_much_for_a_method");
    let described = http::get(&node, "/openapi.json", None).await.json();
    let mut mallory = Client::register(&node, "mallory").await;
    mallory
        .call("groups.create", json!({ "name": "g" }))
        .await
        .expect("made");
    for (path, operation) in described["paths"].as_object().expect("an object") {
        // Those of the session are told elsewhere; here the session shall last.
        if ["/v1/login/logout", "/v1/login/login"].contains(&path.as_str()) {
            continue;
        }
        let method = operation["post"]["operationId"].as_str().expect("a method");
        let schema = &operation["post"]["requestBody"]["content"]["application/json"]["schema"];
        for _ in 0..25 {
            let params = object(&mut dice, schema, &described);
            if params.to_string().len() > 60_000 {
                continue;
            }
            if let Err(error) = mallory.call(method, params.clone()).await {
                let fault = ["internal", "unavailable", "overloaded"].contains(&error.code.as_str());
                assert!(!fault, "{method} {params}: {error:?}");
            }
        }
    }
    assert_eq!(node.log(), "", "nothing of it is worth a warning");
}
