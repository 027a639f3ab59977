//! One WebSocket connection, from its upgrade to its end: one task, small buffers.
//!
//! Requests of a connection are served one after the other, in the order in which they came, so a
//! client that sends without waiting keeps its order; while one is served the socket is not read, and
//! TCP holds the client back. What the server pushes is written meanwhile, all that waits with one flush.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{FutureExt, SinkExt};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use super::calls;
use super::error::EdgeError;
use super::outbox::{Bounds, Close, Outbox, Taken, code};
use super::records::By;
use super::rpc::{self, Incoming, Request};
use super::together;
use super::{Gateway, Guard};
use crate::config::ms;
use crate::identity::{Connection, Identity};

/// How many frames are written with one flush.
const WRITE_TOGETHER: usize = 256;

/// A socket and what is known of it.
pub(super) struct Socket {
    gateway: Arc<Gateway>,
    socket: WebSocket,
    id: u64,
    outbox: Arc<Outbox>,
    connection: Option<Arc<Connection>>,
    /// Frames that were read and wait for their turn.
    waiting: VecDeque<Incoming>,
    /// The end of what the client said: why the server closes, unless the client did.
    ended: Option<Option<Close>>,
    opened: Instant,
    heard: Instant,
    pinged: bool,
    _guard: Guard,
}

type Serving = Pin<Box<dyn Future<Output = Served> + Send>>;

/// What serving a frame came to.
struct Served {
    answers: Vec<Utf8Bytes>,
    /// The connection, when the frame logged it in.
    connection: Option<Arc<Connection>>,
}

/// Why the loop goes on.
enum Event {
    Heard(Option<Result<Message, axum::Error>>),
    Served(Served),
    Ready,
    Tick,
    Draining,
}

impl Socket {
    pub(super) fn new(gateway: Arc<Gateway>, socket: WebSocket, id: u64, guard: Guard) -> Self {
        let settings = &gateway.settings;
        let bounds = Bounds {
            frames: settings.outbox_max_frames,
            bytes: settings.outbox_max_bytes,
        };
        Self {
            id,
            outbox: Arc::new(Outbox::new(bounds)),
            socket,
            connection: None,
            waiting: VecDeque::new(),
            ended: None,
            opened: Instant::now(),
            heard: Instant::now(),
            pinged: false,
            _guard: guard,
            gateway,
        }
    }

    /// Serves the connection until it ends. With an identity it is logged in from the start.
    pub(super) async fn run(mut self, identity: Option<Identity>) {
        let close = match identity {
            // What is done once has its memory for so long, apart from that of the connection.
            Some(identity) => match Box::pin(bind(&self.gateway, self.id, &self.outbox, identity)).await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.serve().await
                }
                Err(error) => Some(Close::new(code::POLICY, error.code)),
            },
            None => self.serve().await,
        };
        let connection = self.connection.take();
        if let Some(connection) = &connection {
            self.gateway.registry.remove(connection.id);
        }
        let said = async {
            match &close {
                Some(close) => {
                    let frame = CloseFrame {
                        code: close.code,
                        reason: clip(&close.reason).into(),
                    };
                    self.socket.send(Message::Close(Some(frame))).await
                }
                // A close of the client is answered with one, which waits to be written.
                None => self.socket.flush().await,
            }
        };
        // The other side may be gone; the socket ends either way.
        let _ = timeout(CLOSE_WITHIN, said).await;
        if let Some(connection) = connection {
            Box::pin(self.gateway.lifecycle.closed(&connection)).await;
        }
        if close.is_some() {
            let _ = timeout(CLOSE_WITHIN, self.until_closed()).await;
        }
    }

    /// The other side answers a close with its own; only then has it read what came before.
    async fn until_closed(&mut self) {
        while let Some(Ok(_)) = self.socket.recv().await {}
    }

    /// The loop. Gives why the server ends it; none when the client did.
    async fn serve(&mut self) -> Option<Close> {
        let mut serving: Option<Serving> = None;
        let mut draining = self.gateway.draining.clone();
        let mut drained = pin!(draining.wait_for(|draining| *draining));
        // Rings at the earliest time of the next tick: most frames move that time, and need not move the timer.
        let mut tick = pin!(sleep_until(self.next_tick()));
        loop {
            if serving.is_none() {
                serving = self.next_work();
            }
            let busy = serving.is_some();
            if !busy && let Some(end) = self.ended.take() {
                return end;
            }
            let event = tokio::select! {
                served = current(&mut serving), if busy => Event::Served(served),
                () = self.outbox.ready() => Event::Ready,
                heard = self.socket.recv(), if !busy => Event::Heard(heard),
                () = &mut tick => Event::Tick,
                _ = &mut drained, if !busy => Event::Draining,
            };
            let outcome = match event {
                Event::Served(served) => {
                    serving = None;
                    self.served(served).await
                }
                // A close waits for the answer of the call that may have caused it.
                Event::Ready if busy && self.outbox.is_closing() => {
                    let served = current(&mut serving).await;
                    serving = None;
                    match self.served(served).await {
                        Ok(()) => self.write_waiting(Vec::new()).await,
                        end => end,
                    }
                }
                Event::Ready => self.write_waiting(Vec::new()).await,
                Event::Heard(heard) => {
                    let bytes = self.heard(heard);
                    self.hear_more(bytes);
                    Ok(())
                }
                Event::Tick => {
                    let outcome = match self.next_tick() <= Instant::now() {
                        true => self.tick().await,
                        false => Ok(()),
                    };
                    tick.as_mut().reset(self.next_tick());
                    outcome
                }
                Event::Draining => Err(Some(Close::new(code::GOING_AWAY, "shutting-down"))),
            };
            // What the client said may have brought it nearer.
            if tick.deadline() > self.next_tick() {
                tick.as_mut().reset(self.next_tick());
            }
            if let Err(end) = outcome {
                // A call that was begun is finished, though nobody hears its answer: half way through it
                // may have kept a message and told nobody.
                if serving.is_some() {
                    let served = current(&mut serving).await;
                    self.connection = self.connection.take().or(served.connection);
                }
                return end;
            }
        }
    }

    /// Takes a frame of the client; gives how many bytes of text it has.
    fn heard(&mut self, heard: Option<Result<Message, axum::Error>>) -> usize {
        self.heard = Instant::now();
        self.pinged = false;
        match heard {
            None | Some(Ok(Message::Close(_))) => self.ended = Some(None),
            Some(Err(error)) => self.ended = Some(unreadable(error)),
            Some(Ok(Message::Binary(_))) => self.ended = Some(Some(Close::new(code::UNSUPPORTED, "text-frames-only"))),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(text))) => {
                self.gateway.metrics.frames_in.increment(1);
                self.waiting
                    .push_back(Incoming::read(&text, self.gateway.settings.batch_max));
                return text.len();
            }
        }
        0
    }

    /// Takes what else is there already, as long as it may be served together with the first, and all of it has no more
    /// bytes than one frame may have.
    fn hear_more(&mut self, mut bytes: usize) {
        let (most, most_bytes) = (
            self.gateway.settings.together_max,
            self.gateway.settings.frame_max_bytes,
        );
        while self.ended.is_none() && self.waiting.len() < most && bytes < most_bytes {
            if self.waiting.back().is_none_or(|last| self.pairable(last).is_none()) {
                return;
            }
            match self.socket.recv().now_or_never() {
                Some(heard) => bytes += self.heard(heard),
                None => return,
            }
        }
    }

    /// What is to be done next for the client: one frame, or some that can be done together.
    fn next_work(&mut self) -> Option<Serving> {
        let first = self.waiting.pop_front()?;
        let (gateway, connection) = (self.gateway.clone(), self.connection.clone());
        let Some(name) = self.pairable(&first) else {
            return Some(Box::pin(serve_frame(
                gateway,
                self.id,
                self.outbox.clone(),
                connection,
                first,
            )));
        };
        let same = self
            .waiting
            .iter()
            .take_while(|next| self.pairable(next) == Some(name))
            .count();
        let frames = std::iter::once(first).chain(self.waiting.drain(..same));
        let requests = frames.flat_map(|frame| frame.requests).flatten().collect();
        Some(Box::pin(serve_together(gateway, connection, requests)))
    }

    /// Function and method of a frame that is one request, of a method whose calls can be made together.
    fn pairable<'a>(&self, frame: &'a Incoming) -> Option<(&'a str, &'a str)> {
        match (frame.batch, frame.requests.as_slice()) {
            (false, [Ok(Request { function, method, .. })]) => {
                self.gateway.together.pair_of_clients(function, method)?;
                Some((function, method))
            }
            _ => None,
        }
    }

    async fn served(&mut self, served: Served) -> Result<(), Option<Close>> {
        if served.connection.is_some() {
            self.connection = served.connection;
        }
        if served.answers.is_empty() {
            return Ok(());
        }
        self.write_waiting(served.answers).await
    }

    /// Writes answers and then what waits, and ends when the outbox says so.
    async fn write_waiting(&mut self, answers: Vec<Utf8Bytes>) -> Result<(), Option<Close>> {
        let Taken { frames, close } = self.outbox.take(WRITE_TOGETHER);
        if !frames.is_empty() || !answers.is_empty() {
            let tracked: Vec<u64> = frames.iter().filter_map(|frame| frame.track).collect();
            let texts = answers.into_iter().chain(frames.into_iter().map(|frame| frame.text));
            self.write(texts.map(Message::Text)).await?;
            if !tracked.is_empty() {
                self.gateway.written.add(tracked);
            }
        }
        close.map_or(Ok(()), |close| Err(Some(close)))
    }

    async fn write(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), Option<Close>> {
        let mut count = 0;
        let work = async {
            for message in messages {
                self.socket.feed(message).await?;
                count += 1;
            }
            self.socket.flush().await
        };
        match timeout(ms(self.gateway.settings.write_within_ms), work).await {
            Ok(Ok(())) => {
                self.gateway.metrics.frames_out.increment(count);
                Ok(())
            }
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(Close::new(code::SLOW, "slow-consumer"))),
        }
    }

    fn next_tick(&self) -> Instant {
        let settings = &self.gateway.settings;
        let silence = if self.pinged {
            settings.silence_max_ms
        } else {
            settings.ping_after_ms
        };
        let tick = self.heard + ms(silence);
        match self.connection {
            Some(_) => tick,
            None => tick.min(self.opened + ms(settings.login_within_ms)),
        }
    }

    /// Pings a silent client, and gives up one that stays silent or does not log in.
    async fn tick(&mut self) -> Result<(), Option<Close>> {
        let settings = &self.gateway.settings;
        if self.connection.is_none() && self.opened.elapsed() >= ms(settings.login_within_ms) {
            return Err(Some(Close::new(code::POLICY, "not-logged-in")));
        }
        if self.heard.elapsed() >= ms(settings.silence_max_ms) {
            return Err(Some(Close::new(code::SILENT, "heartbeat-lost")));
        }
        self.pinged = true;
        self.write([Message::Ping(bytes::Bytes::new())]).await
    }
}

/// The end of the call in flight; never, when there is none.
async fn current(serving: &mut Option<Serving>) -> Served {
    match serving {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

/// How long the closing handshake may take.
const CLOSE_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// A close reason has 123 bytes at most.
fn clip(reason: &str) -> String {
    reason
        .get(..reason.floor_char_boundary(123))
        .unwrap_or_default()
        .to_owned()
}

/// What an unreadable frame is answered with.
fn unreadable(error: axum::Error) -> Option<Close> {
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Some(Close::new(code::TOO_BIG, "frame-too-big")),
        Some(tungstenite::Error::Utf8(_)) => Some(Close::new(code::NOT_UTF8, "not-utf-8")),
        Some(tungstenite::Error::Protocol(_)) => Some(Close::new(code::PROTOCOL, "protocol-error")),
        _ => None,
    }
}

/// Serves the requests of one frame in their order.
async fn serve_frame(
    gateway: Arc<Gateway>,
    id: u64,
    outbox: Arc<Outbox>,
    mut connection: Option<Arc<Connection>>,
    incoming: Incoming,
) -> Served {
    let before = connection.is_some();
    let mut answers = Vec::new();
    let mut room = gateway.settings.answer_max_bytes;
    for request in incoming.requests {
        match request {
            Ok(request) => {
                let wants_answer = request.id.clone();
                let outcome = serve_request(&gateway, id, &outbox, &mut connection, request).await;
                if let Some(id) = wants_answer {
                    let outcome = within(outcome, &mut room, &gateway);
                    answers.push(rpc::response(Some(&id), &outcome));
                }
            }
            Err((id, error)) => answers.push(rpc::response(id.as_ref(), &Err(error))),
        }
    }
    let text = match (incoming.batch, answers.is_empty()) {
        (_, true) => None,
        (false, _) => answers.pop(),
        (true, _) => Some([b"[".as_slice(), &answers.join(&b','), b"]"].concat()),
    };
    Served {
        answers: text.map(frame_of).into_iter().collect(),
        connection: connection.filter(|_| !before),
    }
}

/// Serves requests of one method that wait together.
async fn serve_together(gateway: Arc<Gateway>, connection: Option<Arc<Connection>>, requests: Vec<Request>) -> Served {
    let caller = connection.as_ref().map(|connection| connection.caller());
    let pair = requests
        .first()
        .and_then(|request| gateway.together.pair_of_clients(&request.function, &request.method));
    let mut answers = Vec::with_capacity(requests.len());
    if let Some(pair) = pair {
        let (ids, params): (Vec<_>, _) = requests.into_iter().map(|request| (request.id, request.params)).unzip();
        let outcomes = together::call(&gateway, pair, params, caller).await;
        let wanted = ids.iter().zip(outcomes).filter(|(id, _)| id.is_some());
        answers.extend(wanted.map(|(id, outcome)| frame_of(rpc::response(id.as_ref(), &outcome))));
    }
    Served {
        answers,
        connection: None,
    }
}

/// A frame of a text that was written here, which is UTF-8.
fn frame_of(text: Vec<u8>) -> Utf8Bytes {
    Utf8Bytes::try_from(bytes::Bytes::from(text)).unwrap_or_default()
}

/// An answer for which there is room among those of its batch.
fn within(outcome: Result<Vec<u8>, EdgeError>, room: &mut usize, gateway: &Gateway) -> Result<Vec<u8>, EdgeError> {
    let answer = outcome?;
    *room = room
        .checked_sub(answer.len())
        .ok_or_else(|| EdgeError::answer_too_large(gateway.settings.answer_max_bytes))?;
    Ok(answer)
}

async fn serve_request(
    gateway: &Arc<Gateway>,
    id: u64,
    outbox: &Arc<Outbox>,
    connection: &mut Option<Arc<Connection>>,
    request: Request,
) -> Result<Vec<u8>, EdgeError> {
    let Request {
        function,
        method,
        params,
        ..
    } = request;
    let resumes = function == "connection" && method == "resume";
    let logs_in = gateway.lifecycle.is_login(&function, &method);
    if (resumes || logs_in) && connection.is_some() {
        return Err(EdgeError::permanent(
            "invalid",
            "this connection is logged in already, open another one",
        ));
    }
    if resumes {
        let Resume { token } = serde_json::from_value(params)
            .map_err(|error| EdgeError::permanent("invalid", format!("params: {error}")))?;
        let identity = gateway.lifecycle.verify(&token).await?;
        let bound = bind(gateway, id, outbox, identity).await?;
        let text = welcome(&bound);
        *connection = Some(bound);
        return Ok(text);
    }
    let caller = connection.as_ref().map(|connection| connection.caller());
    let called = calls::call(gateway, &function, &method, params, By::Client(caller)).await?;
    if logs_in && let Some(token) = called.token() {
        let identity = gateway.lifecycle.verify(&token).await?;
        *connection = Some(bind(gateway, id, outbox, identity).await?);
    }
    Ok(called.text)
}

/// The parameters of `connection.resume`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    token: String,
}

fn welcome(connection: &Connection) -> Vec<u8> {
    let identity = &connection.identity;
    let welcome = serde_json::json!({
        "user": identity.user.to_string(),
        "session": identity.session.to_string(),
        "device": &*identity.device,
        "device_class": &*identity.device_class,
        "connection": connection.id.to_string(),
    });
    welcome.to_string().into_bytes()
}

/// Makes a socket the connection of an identity. It is registered here first, so that what is pushed
/// to its node from then on reaches it; then the functions are told.
async fn bind(
    gateway: &Gateway,
    id: u64,
    outbox: &Arc<Outbox>,
    identity: Identity,
) -> Result<Arc<Connection>, EdgeError> {
    let connection = Arc::new(Connection {
        id,
        node: gateway.node.name.clone(),
        identity,
    });
    gateway.registry.insert(connection.clone(), outbox.clone());
    match open(gateway, &connection).await {
        Ok(()) => Ok(connection),
        Err(error) => {
            gateway.registry.remove(id);
            gateway.lifecycle.closed(&connection).await;
            Err(error)
        }
    }
}

async fn open(gateway: &Gateway, connection: &Arc<Connection>) -> Result<(), EdgeError> {
    if !gateway.lifecycle.opened(connection).await? {
        gateway.note_missed();
    }
    let topics = gateway.lifecycle.topics(connection).await?;
    gateway.registry.subscribe_connection(connection.id, topics);
    Ok(())
}
