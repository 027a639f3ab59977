use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use call::Caller;
use config::{BreakerSettings, ms};
use policy::{Breaker, Bulkhead};

use super::*;
use crate::endpoint::{Endpoint, Kind};
use crate::stack;
use crate::target::Target;

/// A server that says the same to everybody.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    /// A request has come.
    heard: Arc<Notify>,
    _accepting: JoinSet<()>,
}

impl Server {
    /// Answers every request with a status and a body; none: never.
    async fn says(answer: Option<(u16, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (made, asked) = (connections.clone(), requests.clone());
        let heard = Arc::new(Notify::new());
        let hears = heard.clone();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                made.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(stream, answer, asked.clone(), hears.clone()));
            }
        });
        Self {
            url,
            connections,
            requests,
            heard,
            _accepting: accepting,
        }
    }

    fn remote(&self, settings: RemoteSettings) -> Arc<Endpoint> {
        remote(&self.url, settings)
    }
}

async fn serve(mut stream: TcpStream, answer: Option<(u16, &str)>, asked: Arc<AtomicUsize>, heard: Arc<Notify>) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|count| count > 0) {
        // Every request here ends with the empty object of its arguments.
        if !request.ends_with(b"\r\n\r\n{}") {
            continue;
        }
        request.clear();
        asked.fetch_add(1, Ordering::SeqCst);
        heard.notify_one();
        let Some((status, body)) = answer else { continue };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn remote(url: &str, settings: RemoteSettings) -> Arc<Endpoint> {
    let remote = Remote::new(url, "token", &settings, 1000).expect("an address");
    let breaker = BreakerSettings::default();
    Arc::new(Endpoint {
        kind: Kind::Remote(Box::new(remote)),
        breaker: Breaker::new(breaker.failures, ms(breaker.open_ms)),
        bulkhead: Bulkhead::new(settings.in_flight_max, settings.waiting_max),
        deadline: Duration::from_millis(settings.deadline_ms),
    })
}

/// What came of a call.
#[derive(Debug, PartialEq)]
enum Failure {
    Refused(EdgeError),
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

async fn call(remote: &Arc<Endpoint>) -> Result<String, Failure> {
    call_of(remote, "send", "ack").await
}

async fn call_of(remote: &Arc<Endpoint>, function: &str, method: &str) -> Result<String, Failure> {
    let route = Target::unknown(function, method, remote.clone());
    let context = Context::begin(Caller::System, route.deadline());
    match stack::invoke(&route, Parts::Json(serde_json::json!({})), context, 1).await {
        Ok(Reply::Json(outcome)) => outcome.map_err(Failure::Refused),
        Ok(other) => panic!("{other:?}"),
        Err(fault) => Err(Failure::Fault(fault)),
    }
}

async fn answer(status: u16, body: &'static str) -> Result<String, Failure> {
    let server = Server::says(Some((status, body))).await;
    call(&server.remote(RemoteSettings::default())).await
}

fn code(outcome: Result<String, Failure>) -> (String, bool) {
    match outcome.expect_err("a failure") {
        Failure::Refused(error) => (error.code, error.retryable),
        Failure::Fault(fault) => (fault.code().to_owned(), fault.is_retryable()),
    }
}

/// A port at which nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[tokio::test]
async fn results_and_refusals_come_back_as_they_were_said() {
    assert_eq!(answer(200, r#" {"a":"1"} "#).await, Ok(r#"{"a":"1"}"#.to_owned()));
    let error = EdgeError::passing("client_id_reused", "no");
    let body = error.problem().leak();
    assert_eq!(answer(409, body).await, Err(Failure::Refused(error)));
}

#[tokio::test]
async fn whoever_is_not_heard_as_the_operator_is_mistrusted() {
    for (error, mistrusted) in [
        (EdgeError::not_the_operator("no"), true),
        (EdgeError::permanent("invalid", "no"), false),
    ] {
        let body: &str = error.problem().leak();
        let server = Server::says(Some((error.status().as_u16(), body))).await;
        let remote = server.remote(RemoteSettings::default());
        let outcome = call(&remote).await;
        let Kind::Remote(way) = &remote.kind else {
            panic!("it is remote")
        };
        assert_eq!(way.is_mistrusted(), mistrusted, "{error:?}");
        let expected = if mistrusted { "unavailable" } else { "invalid" };
        assert_eq!(code(outcome).0, expected);
        // The host itself has no caller, and is not asked for one.
        assert_eq!(way.told_the_host(EdgeError::unauthenticated()).code, "unavailable");
        assert!(way.is_mistrusted());
    }
}

#[tokio::test]
async fn an_answer_that_is_not_one_of_functions_is_a_fault() {
    for (status, body, expected) in [
        (200, "<html>", ("internal", false)),
        (200, "", ("internal", false)),
        (200, "1}", ("internal", false)),
        (302, "", ("internal", false)),
        (404, "not found", ("internal", false)),
        (400, r#"{"code":"invalid"}"#, ("internal", false)),
        (429, "slowly", ("unavailable", true)),
        (502, "<html>", ("unavailable", true)),
        (503, "", ("unavailable", true)),
    ] {
        let (code, retryable) = code(answer(status, body).await);
        assert_eq!((code.as_str(), retryable), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    let body: &'static str = format!("\"{}\"", "a".repeat(1000)).leak();
    assert_eq!(
        answer(200, body).await,
        Err(Failure::Refused(EdgeError::answer_too_large(1000)))
    );
}

#[tokio::test]
async fn functions_that_are_not_there_are_unavailable_and_after_a_while_not_asked() {
    let remote = remote(&nowhere().await, RemoteSettings::default());
    for _ in 0..BreakerSettings::default().failures {
        let fault = Fault::Unavailable("send.ack: the functions cannot be reached".to_owned());
        assert_eq!(call(&remote).await, Err(fault.into()));
    }
    assert_eq!(
        call(&remote).await,
        Err(Fault::BreakerOpen("send.ack".to_owned()).into())
    );
}

#[tokio::test]
async fn a_call_that_is_not_answered_ends_at_its_deadline() {
    let server = Server::says(None).await;
    let remote = server.remote(RemoteSettings {
        deadline_ms: 100,
        ..RemoteSettings::default()
    });
    let late = Fault::DeadlineExceeded("send.ack".to_owned());
    assert_eq!(call(&remote).await, Err(late.into()));
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let server = Server::says(Some((200, "null"))).await;
    let remote = server.remote(RemoteSettings::default());
    for _ in 0..20 {
        assert_eq!(call(&remote).await, Ok("null".to_owned()));
    }
    let connections = server.connections.load(Ordering::SeqCst);
    // A connection is given back just after its answer, which the next call may come before.
    assert!(connections <= 3, "{connections} connections");
    assert_eq!(server.requests.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn calls_under_way_and_calls_that_wait_are_bounded() {
    let server = Server::says(None).await;
    let remote = server.remote(RemoteSettings {
        in_flight_max: 1,
        waiting_max: 0,
        ..RemoteSettings::default()
    });
    let first = call(&remote);
    tokio::pin!(first);
    tokio::select! {
        ended = &mut first => panic!("{ended:?}"),
        () = server.heard.notified() => {}
    }
    let outcome = call(&remote).await;
    assert_eq!(code(outcome), ("overloaded".to_owned(), true));
}

#[tokio::test]
async fn what_no_function_is_called_is_not_sent() {
    let server = Server::says(Some((200, "null"))).await;
    let remote = server.remote(RemoteSettings::default());
    for (function, method) in [
        ("", "ack"),
        ("send", ""),
        ("..", "x"),
        ("send", "ack?x"),
        ("a/b", "ack"),
        ("send", "a%2Fb"),
        ("send", "ack\r\nx: y"),
        ("send", "\u{e4}"),
    ] {
        let outcome = call_of(&remote, function, method).await;
        assert_eq!(code(outcome).0, "unknown_method", "{function}.{method}");
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn addresses_and_tokens_that_cannot_be_used_are_named() {
    let new = |url: &str, token: &str| {
        let remote = Remote::new(url, token, &RemoteSettings::default(), 1000);
        remote
            .map(|remote| remote.url().to_owned())
            .map_err(|error| error.to_string())
    };
    assert_eq!(new("http://a:1/", "t"), Ok("http://a:1".to_owned()));
    assert_eq!(new("http://a/im/", "t"), Ok("http://a/im".to_owned()));
    for wrong in [
        "https://a",
        "a:1",
        "127.0.0.1:7080",
        "http://",
        "http://a:b@c",
        "http://a/?b",
        "",
        "/v1",
    ] {
        let error = new(wrong, "t").expect_err(wrong);
        assert!(error.contains(&format!("`{wrong}`")), "{error}");
    }
    for wrong in ["", "two words", "t\u{e4}", "t\n"] {
        assert!(new("http://a", wrong).is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn http_2_is_spoken_from_the_first_byte_where_the_settings_say_so() {
    for (http2, first) in [(true, "PRI * HTTP/2.0"), (false, "POST /v1/send/ack")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let settings = RemoteSettings {
            http2,
            ..RemoteSettings::default()
        };
        let remote = remote(&url, settings);
        let heard = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut bytes = vec![0; first.len()];
            stream.read_exact(&mut bytes).await.expect("a request");
            String::from_utf8(bytes).expect("text")
        };
        let asked = call(&remote);
        tokio::pin!(asked);
        tokio::select! {
            heard = heard => assert_eq!(heard, first),
            ended = &mut asked => panic!("{ended:?}"),
        }
    }
}
