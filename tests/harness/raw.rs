//! A WebSocket client that does nothing by itself: it answers no ping, and reads only when it is told to.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::http::Response;
use super::{Node, within};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// The end, with a code and a reason.
    Close,
    /// To be answered with a pong; this client does not.
    Ping,
    /// Anything else.
    Other,
}

/// A frame of the server.
#[derive(Debug)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Its content.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The content as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).expect("the server writes JSON")
    }

    /// Code and reason of a close.
    pub fn close(&self) -> (u16, String) {
        let code = u16::from_be_bytes([self.payload[0], self.payload[1]]);
        (code, String::from_utf8(self.payload[2..].to_vec()).expect("UTF-8"))
    }
}

/// A connection.
pub struct Raw(TcpStream);

const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

impl Raw {
    /// Opens a connection that is not logged in.
    pub async fn connect(node: &Node) -> Self {
        Self::with_receive_buffer(node, None).await
    }

    /// Opens a connection for which the kernel keeps no more than so many bytes that were not read.
    pub async fn with_receive_buffer(node: &Node, bytes: Option<u32>) -> Self {
        Self::ask(node, bytes).await.expect("upgraded")
    }

    /// Opens a connection that is not logged in, or gives the refusal.
    pub async fn try_connect(node: &Node) -> Result<Self, Response> {
        Self::ask(node, None).await
    }

    async fn ask(node: &Node, receive_buffer: Option<u32>) -> Result<Self, Response> {
        let address = node.url.strip_prefix("http://").expect("an http address");
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).expect("a buffer");
        }
        let connecting = socket.connect(address.parse().expect("an address"));
        let mut stream = within("connecting", connecting).await.expect("connected");
        stream.set_nodelay(true).expect("no delay");
        stream.write_all(REQUEST.as_bytes()).await.expect("written");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("the upgrade", stream.read_u8()).await.expect("a response"));
        }
        let head = String::from_utf8(head).expect("text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        if status == Some(101) {
            return Ok(Self(stream));
        }
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
                .to_owned()
        };
        let mut body = vec![0; header("content-length: ").parse().expect("a length")];
        within("a refusal", stream.read_exact(&mut body)).await.expect("a body");
        Err(Response {
            status: status.expect("a status"),
            content_type: header("content-type: "),
            text: String::from_utf8(body).expect("UTF-8"),
            is_measured: true,
        })
    }

    /// Opens a connection of the session of a token.
    pub async fn resume(node: &Node, token: &str) -> Self {
        let mut raw = Self::connect(node).await;
        raw.log_in(token).await;
        raw
    }

    /// Makes this a connection of the session of a token.
    pub async fn log_in(&mut self, token: &str) {
        let params = json!({ "token": token });
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "connection.resume", "params": params });
        self.write(0x1, request.to_string().as_bytes()).await;
        let answer = self.next_but_pings().await.expect("an answer").json();
        assert!(answer.get("result").is_some(), "{answer}");
    }

    /// Writes bytes as they are, a frame or not. A connection that is closed already says so when it is read.
    pub async fn put(&mut self, bytes: &[u8]) {
        let _ = within("writing", self.0.write_all(bytes)).await;
    }

    /// Writes requests, each a frame, so that they arrive together.
    pub async fn ask_at_once(&mut self, requests: &[Value]) {
        let frames = requests
            .iter()
            .flat_map(|request| frame(0x1, request.to_string().as_bytes()));
        self.put(&frames.collect::<Vec<u8>>()).await;
    }

    /// Answers a ping.
    pub async fn pong(&mut self) {
        self.write(0xa, &[]).await;
    }

    /// Ends the direction to the server, and goes on to listen.
    pub async fn shut_write(&mut self) {
        self.0.shutdown().await.expect("shut");
    }

    /// The next frame; none when the connection ended without another.
    pub async fn next(&mut self) -> Option<Frame> {
        within("a frame", self.read()).await.ok()
    }

    /// The next frame that is no ping.
    pub async fn next_but_pings(&mut self) -> Option<Frame> {
        loop {
            match self.next().await {
                Some(Frame { kind: Kind::Ping, .. }) => {}
                other => return other,
            }
        }
    }

    /// Reads to the end; gives the code and the reason of the close frame, if there was one.
    pub async fn closed(&mut self) -> Option<(u16, String)> {
        let mut close = None;
        while let Some(frame) = self.next().await {
            if frame.kind == Kind::Close {
                close = Some(frame.close());
                // So that the server need not wait for it.
                self.write(0x8, &[]).await;
            }
        }
        close
    }

    async fn read(&mut self) -> std::io::Result<Frame> {
        let kind = match self.0.read_u8().await? & 0x0f {
            0x1 => Kind::Text,
            0x8 => Kind::Close,
            0x9 => Kind::Ping,
            _ => Kind::Other,
        };
        let length = match self.0.read_u8().await? & 0x7f {
            126 => usize::from(self.0.read_u16().await?),
            127 => usize::try_from(self.0.read_u64().await?).expect("fits"),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await?;
        Ok(Frame { kind, payload })
    }

    /// Writes a frame. A connection that is closed already says so when it is read.
    async fn write(&mut self, opcode: u8, payload: &[u8]) {
        self.put(&frame(opcode, payload)).await;
    }
}

/// A frame with the mask zero.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
    let mut frame = vec![0x80 | opcode];
    match length {
        Some(length) => frame.push(0x80 | length),
        None => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).expect("a short frame").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
