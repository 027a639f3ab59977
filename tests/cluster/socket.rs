//! The connection of a device: it breaks without a panic, and nothing on it takes longer than a person would wait.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a step of opening a connection, or a write, may take.
const STEP_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no connection, or none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The node is gone, or does not answer in time.
    Gone,
    /// The node answered that it cannot take the connection now.
    TurnedAway,
    /// The node said goodbye, or something that must not be said to a device that did nothing wrong.
    Refused(String),
}

/// A connection of a session.
pub(super) struct Socket {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next: u64,
}

impl Socket {
    /// Opens a connection and resumes the session of a token on it.
    pub(super) async fn resume(url: &str, token: &str) -> Result<Self, Broken> {
        let url = format!("{}/ws", url.replace("http://", "ws://"));
        let (socket, _) = timeout(STEP_WITHIN, tokio_tungstenite::connect_async(url))
            .await
            .map_err(|_| Broken::Gone)?
            .map_err(|_| Broken::Gone)?;
        let mut socket = Self { socket, next: 0 };
        let call = socket.call("connection.resume", &json!({ "token": token })).await?;
        timeout(STEP_WITHIN, socket.answer(call))
            .await
            .map_err(|_| Broken::Gone)??;
        Ok(socket)
    }

    /// Sends a call. Gives its id.
    pub(super) async fn call(&mut self, method: &str, params: &Value) -> Result<u64, Broken> {
        self.next += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
        match timeout(STEP_WITHIN, self.socket.send(Message::text(request.to_string()))).await {
            Ok(Ok(())) => Ok(self.next),
            Ok(Err(_)) | Err(_) => Err(Broken::Gone),
        }
    }

    /// The next frame. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Value, Broken> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).map_err(|error| Broken::Refused(format!("{error}: {text}")));
                }
                Some(Ok(Message::Close(Some(close)))) => return Err(ended(u16::from(close.code), &close.reason)),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(Broken::Gone),
                Some(Ok(_)) => {}
            }
        }
    }

    /// What is pushed before the answer is passed over: whoever opens a connection pulls afterwards.
    async fn answer(&mut self, call: u64) -> Result<(), Broken> {
        loop {
            let frame = self.next().await?;
            if frame["id"] != call {
                continue;
            }
            return match frame.get("error") {
                None => Ok(()),
                Some(error) if error["data"]["retryable"] == true => Err(Broken::TurnedAway),
                Some(error) => Err(Broken::Refused(format!("a session cannot be resumed: {error}"))),
            };
        }
    }
}

/// A node that ends, one that found the device half dead after a stall, and one that lost its head may close; to be
/// kicked or called wrong is another thing.
fn ended(code: u16, reason: &str) -> Broken {
    match code {
        1001 | 1006 | 1011..=1013 | 4002 | 4003 => Broken::Gone,
        code => Broken::Refused(format!("closed with {code}: {reason}")),
    }
}
