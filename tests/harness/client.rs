//! A client over a WebSocket that shows everything that it hears.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Node, within};

/// The error of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// That of JSON-RPC.
    pub number: i64,
    /// The stable one.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether to try again.
    pub retryable: bool,
}

/// A connection.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
    heard: VecDeque<Value>,
    /// The user, once logged in.
    pub user: String,
    /// The token, once logged in.
    pub token: String,
}

/// The password of every test account.
pub const PASSWORD: &str = "correct horse";

impl Client {
    /// Opens a connection that is not logged in.
    pub async fn connect(node: &Node) -> Self {
        Self::try_connect(node).await.expect("connected")
    }

    /// Opens a connection that is not logged in; none when the node is gone, or refuses it.
    pub async fn try_connect(node: &Node) -> Option<Self> {
        let url = format!("{}/ws", node.url.replace("http://", "ws://"));
        let (socket, _) = within("connecting", tokio_tungstenite::connect_async(url)).await.ok()?;
        Some(Self {
            socket,
            next: 0,
            heard: VecDeque::new(),
            user: String::new(),
            token: String::new(),
        })
    }

    /// Opens a connection that carries a token in the header of its upgrade. Gives the HTTP status of a refusal.
    pub async fn bearer(node: &Node, token: &str) -> Result<Self, u16> {
        let mut request = format!("{}/ws", node.url.replace("http://", "ws://"))
            .into_client_request()
            .expect("a request");
        let header = format!("Bearer {token}").parse().expect("a token is visible ASCII");
        request.headers_mut().insert("authorization", header);
        match within("connecting", tokio_tungstenite::connect_async(request)).await {
            Ok((socket, _)) => Ok(Self {
                socket,
                next: 0,
                heard: VecDeque::new(),
                user: String::new(),
                token: token.to_owned(),
            }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Registers an account and logs in, on a device `phone` of the class `default`.
    pub async fn register(node: &Node, name: &str) -> Self {
        let mut client = Self::connect(node).await;
        client
            .call("login.register", json!({ "name": name, "password": PASSWORD }))
            .await
            .expect("registered");
        client.log_in(name, "phone", None).await.expect("logged in");
        client
    }

    /// Opens a connection and logs in.
    pub async fn login(node: &Node, name: &str, device: &str, class: Option<&str>) -> Result<Self, RpcError> {
        let mut client = Self::connect(node).await;
        client.log_in(name, device, class).await?;
        Ok(client)
    }

    /// Opens a connection with the token of another.
    pub async fn resume(node: &Node, token: &str) -> Result<Self, RpcError> {
        let mut client = Self::connect(node).await;
        let welcome = client.call("connection.resume", json!({ "token": token })).await?;
        client.user = welcome["user"].as_str().expect("a user").to_owned();
        client.token = token.to_owned();
        Ok(client)
    }

    async fn log_in(&mut self, name: &str, device: &str, class: Option<&str>) -> Result<(), RpcError> {
        let mut params = json!({ "name": name, "password": PASSWORD, "device": device });
        if let Some(class) = class {
            params["device_class"] = class.into();
        }
        let grant = self.call("login.login", params).await?;
        self.user = grant["user"].as_str().expect("a user").to_owned();
        self.token = grant["token"].as_str().expect("a token").to_owned();
        Ok(())
    }

    /// Makes a call and waits for its answer; notifications meanwhile are kept.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        let id = self.begin(method, params).await;
        self.answer(id).await
    }

    /// Sends a call without waiting. Gives its id.
    pub async fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
        self.send(Message::text(request.to_string())).await;
        self.next
    }

    /// Waits for the answer of a call that was begun.
    pub async fn answer(&mut self, id: u64) -> Result<Value, RpcError> {
        self.until(|frame| frame["id"] == id)
            .await
            .map_or_else(|close| panic!("closed: {close:?}"), outcome)
    }

    /// Sends a frame as it is, and gives the answer that has no id or the id null.
    pub async fn raw(&mut self, frame: Message) -> Result<Value, Option<CloseFrame>> {
        self.send(frame).await;
        self.answered().await
    }

    /// The next frame that is no notification; the close frame when the connection ends first.
    pub async fn answered(&mut self) -> Result<Value, Option<CloseFrame>> {
        self.until(|frame| frame.get("method").is_none()).await
    }

    /// Sends a frame as it is. A connection that is closed already says so when it is read.
    pub async fn send(&mut self, frame: Message) {
        let _ = within("sending", self.socket.send(frame)).await;
    }

    /// The next notification of a name, also one that was heard before. Gives its `params`.
    pub async fn notified(&mut self, method: &str) -> Value {
        if let Some(place) = self.heard.iter().position(|frame| frame["method"] == method) {
            return self.heard.remove(place).expect("found")["params"].clone();
        }
        let wanted = method.to_owned();
        let frame = self.until(|frame| frame["method"] == wanted).await;
        frame.unwrap_or_else(|close| panic!("closed while waiting for {method}: {close:?}"))["params"].clone()
    }

    /// The notifications of a name that were heard until now and not taken. A call before makes sure that what was
    /// pushed earlier to this connection is here, since frames keep their order.
    pub fn heard(&mut self, method: &str) -> Vec<Value> {
        let (taken, kept) = self.heard.drain(..).partition(|frame| frame["method"] == method);
        self.heard = kept;
        let taken: VecDeque<Value> = taken;
        taken.into_iter().map(|frame| frame["params"].clone()).collect()
    }

    /// Waits until everything has come that was on its way to this connection before, by a message of another
    /// user that goes the same way: afterwards [`Self::heard`] says what was pushed, and what was not.
    pub async fn settle(&mut self, other: &mut Self) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mark = format!("mark {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let params = json!({ "to": self.user, "client_id": mark, "content": mark, "qos": "at_most_once" });
        other.call("send.send-message", params).await.expect("sent");
        let found = self.until(|frame| frame["params"]["body"]["content"] == mark).await;
        found.unwrap_or_else(|close| panic!("closed while waiting for a mark: {close:?}"));
    }

    /// The next frame, one that was heard before first; the close frame of the server when there is no more.
    pub async fn next(&mut self) -> Result<Value, Option<CloseFrame>> {
        match self.heard.pop_front() {
            Some(frame) => Ok(frame),
            None => self.until(|_| true).await,
        }
    }

    /// Waits for the end of the connection. Gives the close frame of the server.
    pub async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            if let Err(close) = self.until(|_| true).await {
                return close;
            }
        }
    }

    /// Ends the connection without a word.
    pub fn drop_abruptly(self) {
        drop(self.socket);
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value, Option<CloseFrame>> {
        let mut close = None;
        loop {
            match within("waiting for a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).expect("the server writes JSON");
                    if wanted(&frame) {
                        return Ok(frame);
                    }
                    self.heard.push_back(frame);
                }
                Some(Ok(Message::Close(frame))) => close = frame,
                Some(Ok(_)) => {}
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => return Err(close),
                Some(Err(_)) => return Err(close),
            }
        }
    }
}

fn outcome(frame: Value) -> Result<Value, RpcError> {
    let Some(error) = frame.get("error") else {
        return Ok(frame["result"].clone());
    };
    Err(RpcError {
        number: error["code"].as_i64().expect("a number"),
        code: error["data"]["code"].as_str().expect("a code").to_owned(),
        message: error["message"].as_str().expect("a message").to_owned(),
        retryable: error["data"]["retryable"].as_bool().expect("a flag"),
    })
}
