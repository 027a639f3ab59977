//! What HTTP must not carry, as bytes on a connection.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Client, Node, http, within};

/// A response, or its absence.
#[derive(Debug)]
struct Raw {
    status: u16,
    head: String,
    body: String,
}

impl Raw {
    fn problem(&self) -> Value {
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Writes bytes and reads to the end of the connection.
async fn exchange(node: &Node, bytes: &[u8]) -> Raw {
    exchange_until(node, bytes, false).await
}

/// As `exchange`; the client may say that nothing more will come.
async fn exchange_until(node: &Node, bytes: &[u8], breaks_off: bool) -> Raw {
    let mut stream = TcpStream::connect(node.url.trim_start_matches("http://"))
        .await
        .expect("connected");
    // The node may close before it has read everything.
    let _ = within("writing", stream.write_all(bytes)).await;
    if breaks_off {
        let _ = stream.shutdown().await;
    }
    let mut read = Vec::new();
    // What came before a reset was read.
    let _ = within("a response", stream.read_to_end(&mut read)).await;
    let text = String::from_utf8_lossy(&read).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Raw {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// A request with its length; the last header closes the connection.
fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    [text.as_bytes(), body].concat()
}

const JSON: &str = "content-type: application/json";
const VERIFY: &str = "POST /v1/login/verify";

#[tokio::test]
async fn a_request_that_is_wrong_has_a_problem_for_an_answer() {
    let node = Node::start();
    let token = br#"{"token":"x"}"#;
    let deep = [b"[".repeat(5_000), b"]".repeat(5_000)].concat();
    let large = [br#"{"token":""#.as_slice(), &vec![b'x'; 64 * 1024], br#""}"#].concat();
    for (line, headers, body, status, code) in [
        (VERIFY, &[JSON][..], token.as_slice(), 401, "unauthenticated"),
        (VERIFY, &[], token, 401, "unauthenticated"),
        (
            VERIFY,
            &["content-type: Application/JSON; charset=utf-8"],
            token,
            401,
            "unauthenticated",
        ),
        (
            VERIFY,
            &["content-type: text/plain"],
            token,
            415,
            "unsupported_media_type",
        ),
        (
            VERIFY,
            &["content-type: application/x-www-form-urlencoded"],
            token,
            415,
            "unsupported_media_type",
        ),
        (VERIFY, &["content-type: \u{e9}"], token, 415, "unsupported_media_type"),
        (VERIFY, &[JSON], b"{\"token\":\"\xff\"}", 400, "parse_error"),
        (VERIFY, &[JSON], b"\xef\xbb\xbf{}", 400, "parse_error"),
        (VERIFY, &[JSON], b"{", 400, "parse_error"),
        (VERIFY, &[JSON], b"{} {}", 400, "parse_error"),
        (VERIFY, &[JSON], b"null", 400, "invalid"),
        (VERIFY, &[JSON], b"", 400, "invalid"),
        (VERIFY, &[JSON], &deep, 400, "parse_error"),
        (VERIFY, &[JSON], &large, 413, "too_large"),
        ("POST /v1/login/%ff", &[JSON], token, 400, "invalid"),
        ("POST /v1/login/verify%00", &[JSON], token, 404, "unknown_method"),
        ("POST /v1/../admin/functions", &[JSON], token, 404, "not_found"),
        ("POST /v1/login/verify/", &[JSON], token, 404, "not_found"),
        ("POST /v1//verify", &[JSON], token, 404, "unknown_method"),
        ("POST /v1/login/verify?token=x", &[JSON], b"{}", 400, "invalid"),
        ("GET /v1/login/verify", &[], b"", 405, "invalid"),
        ("DELETE /v1/login/verify", &[JSON], token, 405, "invalid"),
        ("PUT /openapi.json", &[], b"", 405, "invalid"),
        ("POST /admin/functions", &[], b"", 405, "invalid"),
        ("BREW /v1/login/verify", &[JSON], token, 405, "invalid"),
        ("GET /nowhere", &[], b"", 404, "not_found"),
        ("GET /", &[], b"", 404, "not_found"),
        ("GET /ws", &[], b"", 400, "invalid"),
        (
            "GET /ws",
            &["upgrade: websocket", "sec-websocket-version: 12"],
            b"",
            400,
            "invalid",
        ),
        ("POST /ws", &[], b"", 405, "invalid"),
        (
            "POST /v1/groups/mine",
            &["authorization: Bearer"],
            b"",
            401,
            "unauthenticated",
        ),
        (
            "POST /v1/groups/mine",
            &["authorization: Basic YTpi"],
            b"",
            401,
            "unauthenticated",
        ),
        (
            "POST /v1/groups/mine",
            &["authorization: Bearer \u{e9}"],
            b"",
            401,
            "unauthenticated",
        ),
        (
            "GET /admin/functions",
            &["authorization: Bearer x"],
            b"",
            401,
            "unauthenticated",
        ),
    ] {
        let response = exchange(&node, &request(line, headers, body)).await;
        assert_eq!(response.status, status, "{line} {headers:?}: {response:?}");
        let problem = response.problem();
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&json!(code), &json!(status)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_request_end_their_connection_alone() {
    let node = Node::start();
    let mut ann = Client::register(&node, "ann").await;
    let many = format!("GET / HTTP/1.1\r\nhost: node\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    let long = format!("GET /{} HTTP/1.1\r\nhost: node\r\n\r\n", "x".repeat(1 << 20));
    for bytes in [
        b"\0\x01\x02\x03\r\n\r\n".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/login/verify HTTP/1.1\r\nhost: node\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/login/verify HTTP/1.1\r\nhost: node\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /v1/login/verify HTTP/1.1\r\nhost: node\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        // TLS, where there is none.
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        many.as_bytes(),
        long.as_bytes(),
        b"",
    ] {
        let response = exchange_until(&node, bytes, true).await;
        let refused = response.status == 0 || (400..500).contains(&response.status);
        assert!(
            refused,
            "{:?}: {response:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
        );
        ann.call("groups.mine", json!({})).await.expect("others go on");
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_makes_no_call() {
    let node = Node::start();
    let ann = Client::register(&node, "ann").await;
    let body = br#"{"name":"half"}"#;
    let authorization = format!("authorization: Bearer {}", ann.token);
    let whole = request("POST /v1/groups/create", &[JSON, &authorization], body);
    for cut in 1..=body.len() {
        let response = exchange_until(&node, &whole[..whole.len() - cut], true).await;
        assert_ne!(response.status, 200, "{cut}");
    }
    let groups = http::done(&node, "groups", "mine", &json!({}), Some(&ann.token)).await;
    assert_eq!(groups, json!([]));
}

#[tokio::test]
async fn a_body_in_endless_chunks_is_cut_off() {
    let node = Node::start();
    let head =
        b"POST /v1/login/verify HTTP/1.1\r\nhost: node\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = [b"1000\r\n".as_slice(), &[b' '; 0x1000], b"\r\n"].concat();
    let response = exchange(&node, &[head.as_slice(), &chunk.repeat(17), b"0\r\n\r\n"].concat()).await;
    assert_eq!(response.status, 413, "{response:?}");
    assert_eq!(response.problem()["code"], "too_large");
}
