//! Requests that wait in one batch, of one connection or of many, and connections that come and go at the same moment: all is answered,
//! kept and pushed as if each had come alone.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::raw::{Frame, Kind};
use crate::harness::{Client, Node, Raw, http};

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn message(id: u64, to: &str) -> Value {
    let params = json!({ "to": to, "client_id": id.to_string(), "content": id.to_string() });
    request(id, "send.send-message", params)
}

/// The next so many answers.
async fn answers(raw: &mut Raw, count: usize) -> Vec<Value> {
    let mut answers = Vec::new();
    while answers.len() < count {
        let frame = raw.next_but_pings().await.expect("an answer").json();
        if frame.get("method").is_none() {
            answers.push(frame);
        }
    }
    answers
}

async fn many(node: &Node) -> f64 {
    invokes(node, "send", "batch-send-message").await
}

/// How often a method has answered.
async fn invokes(node: &Node, function: &str, method: &str) -> f64 {
    let token = node.operator_token();
    let metrics = http::get(node, "/admin/metrics", Some(&token)).await.text;
    let name = format!(r#"mpim_invokes_total{{function="{function}",method="{method}",outcome="answered"}}"#);
    let counts = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(&name)?.trim().parse::<f64>().ok());
    counts.sum()
}

#[tokio::test]
async fn what_waits_in_one_batch_is_answered_and_pushed_in_its_order() {
    let node = Node::start();
    let (ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut raw = Raw::resume(&node, &ann.token).await;
    let mut requests: Vec<Value> = (1..=100).map(|id| message(id, &bob.user)).collect();
    // In between: a call that has no batch method, one that is refused, a repeat, params that fit nothing.
    requests[20] = request(21, "send.status", json!({ "messages": [] }));
    requests[40] = message(41, "1");
    requests[60] = message(1, &bob.user);
    requests[80] = request(81, "send.send-message", json!({ "to": [] }));
    raw.ask_at_once(&requests).await;
    let answers = answers(&mut raw, requests.len()).await;
    let mut sent = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        assert_eq!(
            answer["id"], requests[index]["id"],
            "answers come in the order of the requests"
        );
        match index {
            20 => assert_eq!(answer["result"], json!([])),
            40 => assert_eq!(answer["error"]["data"]["code"], "not_found"),
            60 => assert_eq!(answer["result"]["message"], answers[0]["result"]["message"]),
            80 => assert_eq!(answer["error"]["data"]["code"], "invalid"),
            _ => sent.push(answer["result"].clone()),
        }
    }
    let places: Vec<Value> = sent.iter().map(|receipt| receipt["seq"].clone()).collect();
    let expected: Vec<Value> = (1..=96).map(|place: u32| json!(place.to_string())).collect();
    assert_eq!(places, expected);
    for place in 1..=96 {
        let heard = bob.notified("message").await;
        assert_eq!(heard["cursor"], place.to_string());
        assert_eq!(heard["body"]["id"], sent[place - 1]["message"]);
    }
    // A functions' host that is not this node makes them one by one.
    if node.has_functions() {
        assert!(many(&node).await > 0.0, "none was made in a batch");
    }
}

#[tokio::test]
async fn who_is_not_logged_in_is_refused_each_time() {
    let node = Node::start();
    let mut raw = Raw::connect(&node).await;
    let requests: Vec<Value> = (1..=20).map(|id| message(id, "1")).collect();
    raw.ask_at_once(&requests).await;
    for (index, answer) in answers(&mut raw, 20).await.iter().enumerate() {
        assert_eq!(answer["id"], requests[index]["id"]);
        assert_eq!(answer["error"]["data"]["code"], "unauthenticated");
    }
}

#[tokio::test]
async fn what_was_said_before_the_end_is_done() {
    let node = Node::start();
    let (ann, mut bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let mut raw = Raw::resume(&node, &ann.token).await;
    let requests: Vec<Value> = (1..=30).map(|id| message(id, &bob.user)).collect();
    raw.ask_at_once(&requests).await;
    raw.put(&[0x82, 0x80, 0, 0, 0, 0]).await;
    let mut answered = 0;
    let close = loop {
        match raw.next_but_pings().await {
            Some(frame) if frame.kind == Kind::Close => break Frame::close(&frame),
            Some(frame) => answered += usize::from(frame.json().get("id").is_some()),
            None => panic!("no close frame"),
        }
    };
    assert_eq!((answered, close.0), (30, 1003));
    for place in 1..=30 {
        assert_eq!(bob.notified("message").await["cursor"], place.to_string());
    }
}

#[tokio::test]
async fn what_many_connections_say_at_once_is_done_as_if_each_were_alone() {
    let node = Node::start();
    let mut bob = Client::register(&node, "bob").await;
    let mut senders = Vec::new();
    for place in 0..12 {
        let sender = Client::register(&node, &format!("sender-{place}")).await;
        // One of them is blocked, and the first messages of all others make a conversation each.
        if place == 5 {
            let block = json!({ "user": sender.user });
            bob.call("contacts.block", block).await.expect("blocked");
        }
        senders.push((Raw::resume(&node, &sender.token).await, place));
    }
    let rounds: u64 = 5;
    for round in 0..rounds {
        let told = senders.iter_mut().map(async |(raw, place)| {
            let id = |index: u64| round * 100 + index;
            let mut requests: Vec<Value> = (0..8).map(|index| message(id(index), &bob.user)).collect();
            // What cannot be made a call, and a repeat.
            requests[3] = request(id(3), "send.send-message", json!({ "to": 7 }));
            requests[6] = message(id(1), &bob.user);
            raw.ask_at_once(&requests).await;
            let answers = answers(raw, requests.len()).await;
            let code = |index: usize| answers[index]["error"]["data"]["code"].clone();
            assert_eq!(code(3), "invalid", "{answers:?}");
            for index in [0, 1, 2, 4, 5, 6, 7] {
                match place {
                    5 => assert_eq!(code(index), "blocked"),
                    _ => assert_eq!(code(index), Value::Null, "{answers:?}"),
                }
            }
            assert_eq!(answers[1]["result"]["message"], answers[6]["result"]["message"]);
            let places = [0, 1, 2, 4, 5, 7].map(|index| answers[index]["result"]["seq"].clone());
            let expected = [1, 2, 3, 4, 5, 6].map(|place| json!((round * 6 + place).to_string()));
            assert!(*place == 5 || places == expected, "{places:?}");
        });
        join_all(told).await;
    }
    // Everything came once, that of each sender in its order.
    let (mut heard, mut cursors) = (BTreeMap::<String, Vec<u64>>::new(), BTreeSet::new());
    for _ in 0..11 * 6 * rounds {
        let message = bob.notified("message").await;
        cursors.insert(message["cursor"].as_str().expect("a place").parse().expect("a number"));
        let id = message["body"]["client_id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("a number");
        let sender = message["body"]["sender"].as_str().expect("a sender").to_owned();
        heard.entry(sender).or_default().push(id);
    }
    let expected: Vec<u64> = (0..rounds)
        .flat_map(|round| [0, 1, 2, 4, 5, 7].map(|index| round * 100 + index))
        .collect();
    assert_eq!(cursors, (1..=11 * 6 * rounds).collect());
    assert_eq!(heard.len(), 11);
    for ids in heard.into_values() {
        assert_eq!(ids, expected);
    }
    if node.has_functions() {
        let calls = many(&node).await;
        assert!(calls > 0.0, "none was made in a batch");
        assert!(
            calls < 12.0 * 5.0,
            "those of several connections were made in batches: {calls}"
        );
    }
}

#[tokio::test]
async fn what_speaks_for_others_is_not_for_clients() {
    let node = Node::start();
    let ann = Client::register(&node, "ann").await;
    let mut raw = Raw::resume(&node, &ann.token).await;
    let call = json!({ "caller": { "user": "1", "session": "1", "device": "phone" }, "to": ann.user,
        "client_id": "1", "content": "forged" });
    let requests = [
        request(1, "send.batch-send-message", json!({ "calls": [call] })),
        request(2, "send.batch-ack", json!({ "calls": [] })),
        request(3, "route.register-connection", json!({ "connection": {} })),
        request(4, "route.batch-register-connection", json!({ "calls": [] })),
    ];
    raw.ask_at_once(&requests).await;
    for answer in answers(&mut raw, requests.len()).await {
        assert_eq!(answer["error"]["data"]["code"], "unknown_method", "{answer}");
    }
}

/// How many connections come and go at once.
const CROWD: usize = 48;

#[tokio::test]
async fn connections_that_come_and_go_at_once_are_each_served_refused_and_ended_as_if_alone() {
    let node = Node::start();
    let (mut ann, bob) = (
        Client::register(&node, "ann").await,
        Client::register(&node, "bob").await,
    );
    let online = async |ann: &mut Client| ann.call("presence.count-online", json!({})).await.expect("a count");
    // Some of their tokens are nobody's, and one has no form of a token.
    let token = |place: usize| match place % 6 {
        4 => "0".repeat(64),
        5 => "nonsense".to_owned(),
        _ => bob.token.clone(),
    };
    let tokens: Vec<String> = (0..CROWD).map(token).collect();
    let crowd = join_all(tokens.iter().map(|token| Client::resume(&node, token))).await;
    let mut came = Vec::new();
    for (place, outcome) in crowd.into_iter().enumerate() {
        match (place % 6, outcome) {
            (0..4, Ok(client)) => {
                assert_eq!(client.user, bob.user);
                came.push(client);
            }
            (4.., Err(refusal)) => assert_eq!(refusal.code, "unauthenticated"),
            (_, other) => panic!("{place}: {:?}", other.map(|client| client.user)),
        }
    }
    if node.has_functions() {
        for (function, method) in [
            ("login", "batch-verify"),
            ("route", "batch-register-connection"),
            ("presence", "batch-set-online"),
            ("groups", "batch-topics"),
        ] {
            assert!(
                invokes(&node, function, method).await > 0.0,
                "{method}: none was made in a batch"
            );
        }
    }
    assert_eq!(online(&mut ann).await, "2");
    let sent = json!({ "to": bob.user, "client_id": "1", "content": "to all of you" });
    ann.call("send.send-message", sent).await.expect("sent");
    for client in &mut came {
        assert_eq!(client.notified("message").await["body"]["content"], "to all of you");
    }

    // All but the first connection of all end at once: the user stays. Then that one does, too.
    drop(came);
    let connections = async || {
        let token = node.operator_token();
        let of = json!({ "user": bob.user });
        let found = http::done(&node, "route", "get-connections", &of, Some(&token)).await;
        found.as_array().expect("connections").len()
    };
    while connections().await > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(online(&mut ann).await, "2");
    bob.drop_abruptly();
    while online(&mut ann).await != "1" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_close_of_the_client_is_answered_with_a_close() {
    let node = Node::start();
    let ann = Client::register(&node, "ann").await;
    for code in [None, Some(1000_u16)] {
        let mut raw = Raw::resume(&node, &ann.token).await;
        let payload = code.map(u16::to_be_bytes).into_iter().flatten().collect::<Vec<u8>>();
        let length = u8::try_from(payload.len()).expect("short");
        raw.put(&[&[0x88, 0x80 | length, 0, 0, 0, 0][..], &payload].concat())
            .await;
        let answer = raw.next_but_pings().await.expect("a frame");
        assert_eq!((answer.kind, answer.payload), (Kind::Close, payload));
    }
}
