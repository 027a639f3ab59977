//! What a WebSocket must not carry. Each ends its own connection, with the code that says why.

use std::iter::repeat_n;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Client, Node, Raw};

const TEXT: u8 = 0x1;
const MORE: u8 = 0x0;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const LAST: u8 = 0x80;

/// The bytes of a frame with the mask zero; `first` has the flags too.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(payload);
    bytes
}

/// The bytes of a frame up to its payload, of which it says how long it is.
fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | u8::try_from(length).expect("short")),
        126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).expect("short").to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}

/// Someone else on the same node, who must not notice anything.
struct Bystanders {
    ann: Client,
    bob: Client,
    sent: u32,
}

impl Bystanders {
    async fn come(node: &Node) -> Self {
        Self {
            ann: Client::register(node, "ann").await,
            bob: Client::register(node, "bob").await,
            sent: 0,
        }
    }

    async fn talk(&mut self) {
        self.sent += 1;
        let number = self.sent.to_string();
        let message = json!({ "to": self.bob.user, "client_id": number, "content": number });
        self.ann.call("send.send-message", message).await.expect("sent");
        assert_eq!(self.bob.notified("message").await["body"]["content"], number);
    }
}

#[tokio::test]
async fn a_frame_that_must_not_be_ends_its_connection_with_a_code() {
    let node = Node::start();
    let mut bystanders = Bystanders::come(&node).await;
    let kib = vec![b'x'; 1_024];
    let many = [frame(TEXT, &kib), repeat_n(frame(MORE, &kib), 100).flatten().collect()].concat();
    let unmasked = vec![LAST | TEXT, 2, b'{', b'}'];
    for (what, bytes, code) in [
        (
            "a byte that no UTF-8 has",
            frame(LAST | TEXT, b"{\"a\":\"\xff\"}"),
            1007,
        ),
        ("an overlong encoding", frame(LAST | TEXT, b"\xc0\xaf"), 1007),
        ("a surrogate", frame(LAST | TEXT, b"\xed\xa0\x80"), 1007),
        ("half a character", frame(LAST | TEXT, b"\xe2\x82"), 1007),
        (
            "a broken character over two frames",
            [frame(TEXT, b"\xe2"), frame(LAST, b"x")].concat(),
            1007,
        ),
        ("bytes", frame(LAST | BINARY, b"{}"), 1003),
        ("no bytes", frame(LAST | BINARY, b""), 1003),
        ("a frame that is too big", header(LAST | TEXT, 64 * 1024 + 1), 1009),
        ("a frame of many petabytes", header(LAST | TEXT, 1 << 62), 1009),
        ("many frames that are too big together", many, 1009),
        ("a frame without a mask", unmasked, 1002),
        ("a frame of an unknown kind", frame(LAST | 0x3, b""), 1002),
        ("a frame with reserved flags", frame(LAST | 0x40 | TEXT, b"{}"), 1002),
        ("a part of nothing", frame(LAST, b"{}"), 1002),
        (
            "a beginning in the middle",
            [frame(TEXT, b"{"), frame(LAST | TEXT, b"}")].concat(),
            1002,
        ),
        ("a ping that is too long", frame(LAST | PING, &[0; 126]), 1002),
        ("a ping in parts", frame(PING, b""), 1002),
        ("a close of one byte", frame(LAST | CLOSE, &[3]), 1002),
    ] {
        for logged_in in [false, true] {
            let mut raw = if logged_in {
                let eve = format!("eve-{}", bystanders.sent);
                Raw::resume(&node, &Client::register(&node, &eve).await.token).await
            } else {
                Raw::connect(&node).await
            };
            raw.put(&bytes).await;
            let close = raw.closed().await.unwrap_or_else(|| panic!("{what}: no close frame"));
            assert_eq!(close.0, code, "{what}: {}", close.1);
            bystanders.talk().await;
        }
    }
}

#[tokio::test]
async fn a_big_frame_that_is_sent_whole_is_told_to_be_too_big() {
    let node = Node::start();
    let mut bystanders = Bystanders::come(&node).await;
    for bytes in [64 * 1024 + 1, 1 << 20] {
        let mut client = Client::connect(&node).await;
        client.send(Message::text("x".repeat(bytes))).await;
        let close = client
            .closed()
            .await
            .unwrap_or_else(|| panic!("{bytes}: no close frame"));
        assert_eq!((u16::from(close.code), close.reason.as_str()), (1009, "frame-too-big"));
        bystanders.talk().await;
    }
}

#[tokio::test]
async fn the_largest_frame_is_read() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let head = r#"{"jsonrpc":"2.0","id":1,"method":"groups.mine"}"#;
    let padded = format!("{head}{}", " ".repeat(64 * 1024 - head.len()));
    let answer = ann.raw(Message::text(padded)).await.expect("answered");
    assert_eq!(answer["result"], json!([]));
}

#[tokio::test]
async fn a_connection_that_breaks_off_anywhere_costs_nobody_anything() {
    let node = Node::start();
    let mut bystanders = Bystanders::come(&node).await;
    let token = Client::register(&node, "eve").await.token;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "groups.create", "params": { "name": "x" } });
    let whole = frame(LAST | TEXT, call.to_string().as_bytes());
    for end in 0..whole.len() {
        let mut raw = Raw::resume(&node, &token).await;
        raw.put(&whole[..end]).await;
        drop(raw);
    }
    bystanders.talk().await;
    let mut eve = Client::resume(&node, &token).await.expect("resumed");
    assert_eq!(
        eve.call("groups.mine", json!({})).await,
        Ok(json!([])),
        "no call was half made"
    );
}

#[tokio::test]
async fn parts_of_a_frame_are_one_frame_however_they_come() {
    let node = Node::start();
    let call = br#"{"jsonrpc":"2.0","id":1,"method":"send.status","params":{"messages":[]}}"#;
    let mut raw = Raw::connect(&node).await;
    raw.put(&frame(TEXT, &call[..10])).await;
    raw.put(&frame(MORE, b"")).await;
    raw.put(&frame(LAST | PING, b"")).await;
    for byte in frame(LAST, &call[10..]) {
        raw.put(&[byte]).await;
    }
    let answer = loop {
        let frame = raw.next_but_pings().await.expect("answered");
        if frame.kind == crate::harness::raw::Kind::Text {
            break frame.json();
        }
    };
    assert_eq!(answer["error"]["data"]["code"], "unauthenticated");
}
