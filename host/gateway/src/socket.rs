//! One WebSocket connection, from its upgrade to its end: one task, small buffers.
//!
//! Requests of a connection are served one after the other, in the order in which they came, so a
//! client that sends without waiting keeps its order; while one is served the socket is not read, and
//! TCP holds the client back. What the server pushes is written meanwhile, all that waits with one flush.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use call::{Connection, Identity};
use config::ms;
use futures_util::{FutureExt, SinkExt};
use invoke::Route;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use crate::gateway::Gateway;
use crate::outbox::{Bounds, Close, Outbox, Taken, code};
use crate::rpc::{Incoming, Request};
use crate::serve::{Served, bind, serve_batch, serve_frame};
use crate::sockets::Guard;

/// How many frames are written with one flush.
const FRAMES_A_FLUSH: usize = 256;

/// A socket and what is known of it.
pub(crate) struct Socket {
    gateway: Arc<Gateway>,
    socket: WebSocket,
    id: u64,
    outbox: Arc<Outbox>,
    connection: Option<Arc<Connection>>,
    /// Frames that were read and wait for their turn.
    waiting: VecDeque<Frame>,
    /// The end of what the client said: why the server closes, unless the client did.
    ended: Option<Option<Close>>,
    opened: Instant,
    heard: Instant,
    pinged: bool,
    _guard: Guard,
}

/// A frame of the client, and the route of what it calls where that is one method.
struct Frame {
    incoming: Incoming,
    route: Option<Arc<Route>>,
}

type Serving = Pin<Box<dyn Future<Output = Served> + Send>>;

/// Why the loop goes on.
enum Event {
    Heard(Option<Result<Message, axum::Error>>),
    Served(Served),
    Ready,
    Tick,
    Draining,
}

impl Socket {
    pub(crate) fn new(gateway: Arc<Gateway>, socket: WebSocket, id: u64, guard: Guard) -> Self {
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
    pub(crate) async fn run(mut self, identity: Option<Identity>) {
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
            Box::pin(self.gateway.hooks.closed(&connection)).await;
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
                let incoming = Incoming::read(&text, self.gateway.settings.batch_max);
                let route = self.route(&incoming);
                self.waiting.push_back(Frame { incoming, route });
                return text.len();
            }
        }
        0
    }

    /// Looked up once a frame: what is not found here is refused when its turn comes.
    fn route(&self, incoming: &Incoming) -> Option<Arc<Route>> {
        match (incoming.batch, incoming.requests.as_slice()) {
            (false, [Ok(Request { function, method, .. })]) => self.gateway.invoke.table().route(function, method),
            _ => None,
        }
    }

    /// Takes what else is there already, as long as it may be served in one batch with the first, and all of it has no more
    /// bytes than one frame may have.
    fn hear_more(&mut self, mut bytes: usize) {
        let (most, most_bytes) = (self.gateway.batch_calls_max, self.gateway.settings.frame_max_bytes);
        while self.ended.is_none() && self.waiting.len() < most && bytes < most_bytes {
            if self.waiting.back().is_none_or(|last| self.batched(last).is_none()) {
                return;
            }
            match self.socket.recv().now_or_never() {
                Some(heard) => bytes += self.heard(heard),
                None => return,
            }
        }
    }

    /// What is to be done next for the client: one frame, or some of one method whose calls are made in batches.
    fn next_work(&mut self) -> Option<Serving> {
        let first = self.waiting.pop_front()?;
        let (gateway, connection) = (self.gateway.clone(), self.connection.clone());
        let (Some(connection), Some(route)) = (&connection, self.batched(&first).cloned()) else {
            let outbox = self.outbox.clone();
            let Frame { incoming, route } = first;
            return Some(Box::pin(serve_frame(
                gateway, self.id, outbox, connection, incoming, route,
            )));
        };
        let is_same = |next: &&Frame| self.batched(next).is_some_and(|other| Arc::ptr_eq(other, &route));
        let same = self.waiting.iter().take_while(is_same).count();
        let frames = std::iter::once(first).chain(self.waiting.drain(..same));
        let requests = frames.flat_map(|frame| frame.incoming.requests).flatten().collect();
        Some(Box::pin(serve_batch(gateway, connection.clone(), route, requests)))
    }

    /// The route of a frame whose call can be made in one batch with others.
    fn batched<'a>(&self, frame: &'a Frame) -> Option<&'a Arc<Route>> {
        let route = frame.route.as_ref().filter(|route| route.is_batched_for_users())?;
        self.connection.is_some().then_some(route)
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
        let Taken { frames, close } = self.outbox.take(FRAMES_A_FLUSH);
        if !frames.is_empty() || !answers.is_empty() {
            let tracked: Vec<u64> = frames.iter().filter_map(|frame| frame.track).collect();
            let texts = answers.into_iter().chain(frames.into_iter().map(|frame| frame.text));
            self.write(texts.map(Message::Text)).await?;
            if !tracked.is_empty() {
                self.gateway.reports.add(tracked);
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
