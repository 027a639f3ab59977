//! Requests over HTTP.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::client::PASSWORD;
use super::{Node, within};

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The media type.
    pub content_type: String,
    /// The body.
    pub text: String,
    /// Whether the head says how long the body is: it is not sent in pieces.
    pub is_measured: bool,
}

impl Response {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// Calls a method.
pub async fn call(node: &Node, function: &str, method: &str, body: impl Into<Bytes>, token: Option<&str>) -> Response {
    request(node, "POST", &format!("/v1/{function}/{method}"), body, token).await
}

/// Calls a method that is expected to succeed. Gives its result.
pub async fn done(node: &Node, function: &str, method: &str, params: &Value, token: Option<&str>) -> Value {
    let response = call(node, function, method, params.to_string(), token).await;
    assert_eq!(response.status, 200, "{function}.{method}: {}", response.text);
    response.json()
}

/// Registers an account that has no session yet. Gives its user.
pub async fn register(node: &Node, name: &str) -> String {
    let user = done(
        node,
        "login",
        "register",
        &json!({ "name": name, "password": PASSWORD }),
        None,
    )
    .await;
    user.as_str().expect("a user").to_owned()
}

/// Logs in on a device. Gives the token; there is no connection.
pub async fn login(node: &Node, name: &str, device: &str) -> String {
    let params = json!({ "name": name, "password": PASSWORD, "device": device });
    let grant = done(node, "login", "login", &params, None).await;
    grant["token"].as_str().expect("a token").to_owned()
}

/// Asks for a path.
pub async fn get(node: &Node, path: &str, token: Option<&str>) -> Response {
    request(node, "GET", path, Bytes::new(), token).await
}

/// Sends a request on a connection of its own.
pub async fn request(node: &Node, method: &str, path: &str, body: impl Into<Bytes>, token: Option<&str>) -> Response {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    request_with(node, method, path, body, &headers).await
}

/// As [`request`], with headers.
pub async fn request_with(
    node: &Node,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
    headers: &[(&str, &str)],
) -> Response {
    at(&node.url, method, path, body, headers).await
}

/// As [`request_with`], to whatever answers at a URL.
pub async fn at(url: &str, method: &str, path: &str, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> Response {
    let address = url.strip_prefix("http://").expect("an http address");
    let mut request = Request::builder().method(method).uri(path).header("host", address);
    if method == "POST" {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).expect("a request");
    within("an HTTP request", async {
        let stream = TcpStream::connect(address).await.expect("connected");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("a response");
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get("content-type")
            .map(|value| value.to_str().expect("text").to_owned());
        let is_measured = response.headers().contains_key("content-length");
        let text = response.into_body().collect().await.expect("a body").to_bytes();
        connection.abort();
        Response {
            status,
            content_type: content_type.unwrap_or_default(),
            text: String::from_utf8(text.to_vec()).expect("UTF-8"),
            is_measured,
        }
    })
    .await
}

/// Waits until a metric of the node is at least so much.
pub async fn until_metric(node: &Node, name: &str, least: f64) {
    let token = node.operator_token();
    within(name, async {
        loop {
            let metrics = get(node, "/admin/metrics", Some(&token)).await.text;
            let values = metrics
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            if values.sum::<f64>() >= least {
                return;
            }
        }
    })
    .await;
}
