//! One topic that a node listens to: a connection, made again when it is lost, that fills the node's memory.
//!
//! Any server of a cluster will do: Pub/Sub reaches them all. A subscription that nobody receives from any more ends
//! by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::counter;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisResult, Value,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::memory;
use crate::redis::address::shown;
use crate::redis::fault;
use config::RedisServerSettings;
use contract::Fault;
use keyspace::topic::{lane_of, priority};

/// The pause before the first attempt to connect again; it doubles from there.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
/// How often a silent connection is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_secs(2);

/// How topics are listened to.
#[derive(Debug, Clone)]
pub(super) struct Listen {
    /// Each with its host and port, for messages.
    servers: Vec<(Client, String)>,
    connect_timeout: Duration,
    response_timeout: Duration,
    pause_max: Duration,
    idle: Duration,
    heard: Arc<Heard>,
}

/// Where what is heard goes.
#[derive(Debug)]
struct Heard {
    queue: Arc<memory::Queue>,
    overflowed: AtomicBool,
    undecodable: AtomicBool,
}

/// A topic that is listened to until this is dropped or nobody wants it any more.
#[derive(Debug)]
pub(super) struct Subscription {
    state: watch::Receiver<State>,
    /// When somebody last wanted it; absent once it has ended.
    wanted: Arc<Mutex<Option<Instant>>>,
    patience: Duration,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone)]
enum State {
    Connecting,
    Hears,
    Failed(Fault),
}

impl Listen {
    /// Fails if a URL cannot be read.
    pub(super) fn new(settings: &RedisServerSettings, idle_ms: u64, queue: Arc<memory::Queue>) -> Result<Self, Fault> {
        let mut servers = Vec::new();
        for url in &settings.urls {
            let client = client(url).map_err(|error| Fault::Invalid(format!("redis of queue: {error}")))?;
            servers.push((client, shown(url)));
        }
        Ok(Self {
            servers,
            connect_timeout: Duration::from_millis(settings.connect_timeout_ms.max(1)),
            response_timeout: Duration::from_millis(settings.response_timeout_ms.max(1)),
            pause_max: Duration::from_millis(settings.reconnect_pause_ms).max(PAUSE_FIRST),
            idle: Duration::from_millis(idle_ms),
            heard: Arc::new(Heard {
                queue,
                overflowed: AtomicBool::new(false),
                undecodable: AtomicBool::new(false),
            }),
        })
    }

    /// Begins to listen to a topic. Must be called within a runtime.
    pub(super) fn to(&self, topic: &str, channel: String) -> Subscription {
        let (sender, state) = watch::channel(State::Connecting);
        let wanted = Arc::new(Mutex::new(Some(Instant::now())));
        let listener = Listener {
            listen: self.clone(),
            topic: topic.into(),
            channel,
            state: sender,
            wanted: Arc::clone(&wanted),
        };
        Subscription {
            state,
            wanted,
            patience: self.connect_timeout + self.response_timeout,
            task: tokio::spawn(listener.run()),
        }
    }
}

impl Subscription {
    /// Notes that somebody wants it; false: it has ended.
    pub(super) fn wants(&self) -> bool {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = wanted.is_some() && !self.task.is_finished();
        if alive {
            *wanted = Some(Instant::now());
        }
        alive
    }

    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends when it hears; fails when it cannot for now.
    pub(super) fn hears(&self) -> impl Future<Output = Result<(), Fault>> + use<> {
        let mut state = self.state.clone();
        let patience = self.patience;
        async move {
            let known = state.wait_for(|state| !matches!(state, State::Connecting));
            let late = || Fault::Unavailable("redis of queue: no subscription yet".to_owned());
            let known = tokio::time::timeout(patience, known).await.map_err(|_| late())?;
            match known.as_deref() {
                Ok(State::Hears) => Ok(()),
                Ok(State::Failed(fault)) => Err(fault.clone()),
                Ok(State::Connecting) | Err(_) => Err(late()),
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Listener {
    listen: Listen,
    topic: Arc<str>,
    channel: String,
    state: watch::Sender<State>,
    wanted: Arc<Mutex<Option<Instant>>>,
}

impl Listener {
    async fn run(self) {
        let mut pause = PAUSE_FIRST;
        for (client, server) in self.listen.servers.iter().cycle() {
            let gone = Arc::new(Notify::new());
            match self.connect(client, Arc::clone(&gone)).await {
                Ok(connection) => {
                    self.state.send_replace(State::Hears);
                    pause = PAUSE_FIRST;
                    if !self.watch(connection, &gone).await {
                        return;
                    }
                    self.state.send_replace(State::Connecting);
                    counter!("mpim_queue_reconnects_total").increment(1);
                    tracing::warn!(
                        server,
                        "subscription lost: what is published until it is back is not heard"
                    );
                }
                Err(fault) => {
                    tracing::debug!(%fault, "no subscription");
                    self.state.send_replace(State::Failed(fault));
                    if self.is_unwanted() {
                        return;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.listen.pause_max);
        }
    }

    async fn connect(&self, client: &Client, gone: Arc<Notify>) -> Result<MultiplexedConnection, Fault> {
        let at = || format!("redis of queue at {}", client.get_connection_info().addr());
        let (heard, topic) = (Arc::clone(&self.listen.heard), Arc::clone(&self.topic));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.listen.connect_timeout))
            .set_response_timeout(Some(self.listen.response_timeout))
            .set_push_sender(move |push: PushInfo| {
                match push.kind {
                    PushKind::Message => heard.take(&topic, &push),
                    PushKind::Disconnection => gone.notify_one(),
                    _ => {}
                }
                Ok::<_, ()>(())
            });
        let connect = async {
            let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            connection.subscribe(&self.channel).await?;
            RedisResult::Ok(connection)
        };
        let patience = self.listen.connect_timeout + self.listen.response_timeout;
        match tokio::time::timeout(patience, connect).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(match fault::of(&error, &at()) {
                Fault::Timeout(what) => Fault::Unavailable(what),
                fault => fault,
            }),
            Err(_) => Err(Fault::Unavailable(format!(
                "{}: no subscription within {patience:?}",
                at()
            ))),
        }
    }

    /// Until the connection is lost; false: nobody wants it any more.
    async fn watch(&self, mut connection: MultiplexedConnection, gone: &Notify) -> bool {
        loop {
            if tokio::time::timeout(PING_EVERY, gone.notified()).await.is_ok() {
                return true;
            }
            if self.is_unwanted() {
                return false;
            }
            if redis::cmd("PING").exec_async(&mut connection).await.is_err() {
                return true;
            }
        }
    }

    /// Whether nobody wanted it for long. It is then over: who wants it next begins another one.
    fn is_unwanted(&self) -> bool {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.is_some_and(|wanted| wanted.elapsed() >= self.listen.idle) {
            *wanted = None;
        }
        wanted.is_none()
    }
}

impl Heard {
    /// Keeps an entry that was called out.
    fn take(&self, topic: &str, push: &PushInfo) {
        let Some((id, payload)) = decode(&push.data) else {
            counter!("mpim_queue_undecodable_total").increment(1);
            if !self.undecodable.swap(true, Ordering::Relaxed) {
                tracing::warn!("entries of a queue cannot be decoded and are dropped: somebody else publishes there");
            }
            return;
        };
        if let Err(fault) = self.queue.append(topic, id, priority(lane_of(id)), payload) {
            counter!("mpim_queue_overflows_total").increment(1);
            if !self.overflowed.swap(true, Ordering::Relaxed) {
                tracing::warn!(%fault, "entries of a queue are dropped: they are heard faster than they are ended");
            }
        }
    }
}

/// The id and the payload of what was published: the id in digits, a space, the payload.
fn decode(data: &[Value]) -> Option<(u64, Vec<u8>)> {
    let [_, Value::BulkString(text)] = data else {
        return None;
    };
    let space = text.iter().position(|byte| *byte == b' ')?;
    let (id, payload) = text.split_at_checked(space)?;
    let id = std::str::from_utf8(id).ok()?.parse().ok()?;
    Some((id, payload.get(1..)?.to_vec()))
}

fn client(url: &str) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    // The third protocol calls out on a connection that also answers.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(redis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(text: &[u8]) -> Vec<Value> {
        vec![Value::BulkString(b"channel".to_vec()), Value::BulkString(text.to_vec())]
    }

    #[test]
    fn what_was_published_is_decoded_and_nothing_else() {
        assert_eq!(decode(&called(b"12 a b")), Some((12, b"a b".to_vec())));
        assert_eq!(decode(&called(b"12 ")), Some((12, Vec::new())));
        for foreign in [
            &b""[..],
            b"12",
            b" a",
            b"x a",
            b"-1 a",
            b"99999999999999999999 a",
            b"\xff a",
        ] {
            assert_eq!(decode(&called(foreign)), None);
        }
        assert_eq!(decode(&[]), None);
    }
}
