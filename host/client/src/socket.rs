//! One WebSocket to a server: calls by id, many at a time, and what the server says unasked. The one who owns
//! the client drives it; there is no task behind it. It refuses to know what the methods mean, and never
//! connects again by itself.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as SocketMessage, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::address::Address;
use crate::error::{Close, Error, Problem, Refusal};
use crate::frames::{self, Frame};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How many frames wait while a call waits for its answer.
const WAITING_FRAMES: usize = 4096;
/// A client may have hundreds of connections: no more buffer than a few frames need.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    next_id: u64,
    /// Frames that came while a call waited for its answer.
    waiting: VecDeque<Utf8Bytes>,
    missed: bool,
}

impl Client {
    /// Opens a connection; it is nobody's until a login or a resume on it.
    pub async fn connect(address: &Address) -> Result<Self, Error> {
        let unreachable = |reason: &dyn std::fmt::Display| Error::Unreachable {
            address: address.to_string(),
            reason: reason.to_string(),
        };
        let open = async {
            let stream = TcpStream::connect(address.endpoint())
                .await
                .map_err(|error| unreachable(&error))?;
            stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
            let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
            let (socket, _) = client_async_with_config(address.websocket(), stream, Some(config))
                .await
                .map_err(|error| match error {
                    SocketError::Http(response) => Error::Refused(Problem::refusal(
                        "the connection",
                        response.status().as_u16(),
                        response.body().as_deref().unwrap_or_default(),
                    )),
                    other => unreachable(&other),
                })?;
            Ok(Self {
                socket,
                next_id: 1,
                waiting: VecDeque::new(),
                missed: false,
            })
        };
        timeout(CONNECT_TIMEOUT, open)
            .await
            .unwrap_or_else(|_| Err(unreachable(&"no answer in time")))
    }

    /// Puts a call into the buffer of the socket and gives its id; [`Client::flush`] sends what is there.
    pub async fn send<P: Serialize>(&mut self, method: &str, params: &P) -> Result<u64, Error> {
        let id = self.next_id;
        self.next_id += 1;
        let text = frames::request(id, method, params)?;
        self.socket.feed(SocketMessage::text(text)).await.map_err(closed)?;
        Ok(id)
    }

    /// Sends what is in the buffer.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.socket.flush().await.map_err(closed)
    }

    /// The next frame, for [`Frame::read`]. Pings are answered in passing. Safe to cancel.
    pub async fn next(&mut self) -> Result<Utf8Bytes, Error> {
        match self.waiting.pop_front() {
            Some(text) => Ok(text),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Result<Utf8Bytes, Error> {
        loop {
            match self.socket.next().await {
                Some(Ok(SocketMessage::Text(text))) => return Ok(text),
                Some(Ok(SocketMessage::Close(frame))) => return Err(Error::Closed(close_of(frame))),
                Some(Ok(SocketMessage::Binary(_))) => return Err(Error::Unreadable("a binary frame".to_owned())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(closed(error)),
                None => return Err(Error::Closed(Close::broken("the server is gone"))),
            }
        }
    }

    /// Calls a method and waits for its answer; other frames wait for [`Client::next`] meanwhile.
    pub async fn call<P: Serialize, R: DeserializeOwned>(&mut self, method: &str, params: &P) -> Result<R, Error> {
        let answer = self.call_text(method, params).await?;
        frames::read(&answer)
    }

    /// As [`Client::call`], but gives the JSON, for a caller that borrows from it.
    pub async fn call_text<P: Serialize>(&mut self, method: &str, params: &P) -> Result<String, Error> {
        let id = self.send(method, params).await?;
        self.flush().await?;
        timeout(CALL_TIMEOUT, self.answer(id, method))
            .await
            .unwrap_or_else(|_| Err(Error::Late(method.to_owned())))
    }

    async fn answer(&mut self, id: u64, method: &str) -> Result<String, Error> {
        loop {
            let text = self.receive().await?;
            match Frame::read(&text)? {
                Frame::Answer { id: answered, result } if answered == id => {
                    let result = result.map_err(|refusal| {
                        Error::Refused(Refusal {
                            what: method.to_owned(),
                            ..refusal
                        })
                    })?;
                    return Ok(result.map_or("null", |raw| raw.get()).to_owned());
                }
                Frame::Notification { .. } if self.waiting.len() >= WAITING_FRAMES => self.missed = true,
                _ => self.waiting.push_back(text),
            }
        }
    }

    /// A frame that came while a call waited; on a connection that ended these are the last.
    pub fn take_waiting(&mut self) -> Option<Utf8Bytes> {
        self.waiting.pop_front()
    }

    /// Whether notifications were dropped because too many waited: then a pull has to find what they said.
    pub fn take_missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        // The other side may be gone already; there is nobody left to tell.
        let _ = timeout(CLOSE_TIMEOUT, self.socket.close(None)).await;
    }

    /// Breaks the connection as a failing network does: no close frame, and what was not sent is lost.
    pub fn abandon(self) {
        // Without the option the connection still breaks, only less rudely.
        let _ = self.socket.get_ref().set_zero_linger();
    }
}

fn closed(error: SocketError) -> Error {
    match error {
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => {
            Error::Closed(Close::broken("the server is gone"))
        }
        other => Error::Closed(Close::broken(other)),
    }
}

fn close_of(frame: Option<tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> Close {
    match frame {
        Some(frame) => Close {
            code: Some(frame.code.into()),
            reason: frame.reason.to_string(),
        },
        None => Close::broken("the server closed it without a reason"),
    }
}
