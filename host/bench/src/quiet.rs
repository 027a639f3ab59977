//! Connections that say nothing: a hundred thousand of them in little memory. Each is a socket and a small task that
//! answers pings and reads over everything else. They log in by their bearer on the upgrade.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use client::address::Address;
use client::error::{Error, Problem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::failure::Failure;

/// Connections from one source address: the kernel has about 28,000 ports for each.
const FROM_ONE: usize = 20_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a connection is tried that the server has no room for just now.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);
/// Most bytes of the answer to an upgrade.
const ANSWER: usize = 4096;

const PING: u8 = 9;
const CLOSE: u8 = 8;
const PONG: u8 = 10;
/// A frame that is whole and not divided.
const WHOLE: u8 = 0x80;
/// What a client says is masked.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0; 4];

/// A connection that is logged in.
#[derive(Debug)]
pub(crate) struct Quiet {
    stream: TcpStream,
    /// What was read and not looked at yet.
    begun: Vec<u8>,
}

impl Quiet {
    /// Opens one. `number` is its own among all: it says from which loopback address it comes.
    pub(crate) async fn connect(address: &Address, token: &str, number: usize) -> Result<Self, Failure> {
        for _ in 1..TRIES {
            match timeout(CONNECT_TIMEOUT, Self::once(address, token, number)).await {
                Ok(Err(Error::Refused(refusal))) if refusal.retryable => sleep(PAUSE).await,
                Ok(other) => return Ok(other?),
                Err(_) => return Err(Error::Late("a connection".to_owned()).into()),
            }
        }
        Ok(Self::once(address, token, number).await?)
    }

    async fn once(address: &Address, token: &str, number: usize) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Unreachable {
            address: address.to_string(),
            reason: error.to_string(),
        };
        let mut stream = open(address, number).await.map_err(failed)?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n",
            address.path("/ws"),
            address.authority(),
        );
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut answer = Vec::new();
        loop {
            if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let begun = answer.split_off(end + 4);
                return match status(&answer) {
                    101 => Ok(Self { stream, begun }),
                    status => Err(Error::Refused(Problem::refusal("the connection", status, &begun))),
                };
            }
            if answer.len() > ANSWER || stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
                return Err(Error::Unreadable("no answer to the upgrade".to_owned()));
            }
        }
    }

    /// Waits until the server has made it the connection of its session and serves it: then a ping is answered.
    pub(crate) async fn served(&mut self) -> Result<(), Error> {
        self.say(PING).await.map_err(broken)?;
        self.wait_for(PONG).await
    }

    /// Ends it as a client does who leaves.
    pub(crate) async fn leave(mut self) -> Result<(), Error> {
        self.say(CLOSE).await.map_err(broken)?;
        self.wait_for(CLOSE).await
    }

    /// A frame without a payload.
    async fn say(&mut self, code: u8) -> std::io::Result<()> {
        let frame = [&[WHOLE | code, MASKED][..], &MASK].concat();
        self.stream.write_all(&frame).await
    }

    /// Reads over everything up to a frame of this code.
    async fn wait_for(&mut self, code: u8) -> Result<(), Error> {
        loop {
            while let Some(frame) = Frame::first(&self.begun) {
                let (found, bytes) = (frame.code, frame.bytes);
                self.begun.drain(..bytes);
                if found == code {
                    return Ok(());
                }
            }
            if self.stream.read_buf(&mut self.begun).await.map_err(broken)? == 0 {
                return Err(Error::Unreadable("the connection ended".to_owned()));
            }
        }
    }

    /// Answers pings until the connection ends.
    pub(crate) async fn hold(mut self) {
        let mut waiting = std::mem::take(&mut self.begun);
        loop {
            while let Some(frame) = Frame::first(&waiting) {
                if frame.code == CLOSE || frame.code == PING && self.pong(frame.payload).await.is_err() {
                    return;
                }
                let bytes = frame.bytes;
                waiting.drain(..bytes);
            }
            if waiting.is_empty() {
                // Nearly always: no memory for what nearly never comes.
                waiting = Vec::new();
            }
            if self.stream.readable().await.is_err() || !self.take(&mut waiting) {
                return;
            }
        }
    }

    /// Takes what is there; whether the connection lives.
    fn take(&self, waiting: &mut Vec<u8>) -> bool {
        let mut bytes = [0; 1024];
        match self.stream.try_read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                waiting.extend(bytes.iter().take(count));
                true
            }
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }

    async fn pong(&mut self, payload: &[u8]) -> std::io::Result<()> {
        let length = u8::try_from(payload.len()).unwrap_or_default();
        let head = [WHOLE | PONG, MASKED | length];
        let frame = [&head[..], &MASK, payload].concat();
        self.stream.write_all(&frame).await
    }

    /// Breaks it, as a network that fails does.
    pub(crate) fn abandon(self) {
        // Without the option the connection still ends, only less rudely.
        let _ = self.stream.set_zero_linger();
    }
}

async fn open(address: &Address, number: usize) -> std::io::Result<TcpStream> {
    let mut found = lookup_host(address.endpoint()).await?;
    let to = found
        .next()
        .ok_or_else(|| std::io::Error::other("the name has no address"))?;
    let SocketAddr::V4(v4) = to else {
        return TcpStream::connect(to).await;
    };
    let socket = TcpSocket::new_v4()?;
    let from = u8::try_from(number / FROM_ONE).unwrap_or(u8::MAX);
    if v4.ip().is_loopback() && from > 0 {
        let from = Ipv4Addr::new(127, 0, 0, from.saturating_add(1));
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    }
    socket.connect(to).await
}

fn broken(error: std::io::Error) -> Error {
    Error::Unreadable(error.to_string())
}

/// The status of an answer; 0 of what is none.
fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    let code = text.split(' ').nth(1);
    code.and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// A frame of the server, which masks none (RFC 6455, section 5.2).
#[derive(Debug, PartialEq, Eq)]
struct Frame<'a> {
    code: u8,
    payload: &'a [u8],
    bytes: usize,
}

impl<'a> Frame<'a> {
    /// The first one of these bytes, when it is there as a whole.
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<2>()?;
        let [code, short] = *head;
        let (length, rest) = match short {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
            }
            short => (usize::from(short), rest),
        };
        Some(Self {
            code: code & 0x0f,
            payload: rest.get(..length)?,
            bytes: bytes.len() - rest.len() + length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, status};

    #[test]
    fn frames_are_told_apart_and_halves_wait() {
        let ping = [0x89, 2, b'h', b'i', 0x81];
        let expected = Frame {
            code: 9,
            payload: b"hi",
            bytes: 4,
        };
        assert_eq!(Frame::first(&ping), Some(expected));
        assert_eq!(Frame::first(&ping[..3]), None);
        let long = [&[0x81, 126, 1, 0][..], &[b'x'; 256]].concat();
        assert_eq!(
            Frame::first(&long).map(|frame| (frame.code, frame.bytes)),
            Some((1, 260))
        );
        assert_eq!(Frame::first(&long[..259]), None);
    }

    #[test]
    fn the_status_of_an_answer_is_read() {
        assert_eq!(status(b"HTTP/1.1 101 Switching Protocols\r\n"), 101);
        assert_eq!(status(b"nonsense"), 0);
    }
}
