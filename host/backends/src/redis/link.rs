//! One role's way to its servers, whatever they are to each other.
//!
//! Commands that do not block go over a few connections that all callers share; what blocks has a connection for
//! itself, out of a pool. Every call ends in time: a server that does not answer costs at most the response timeout, one
//! that is known to be down costs nothing. No call is repeated here but one that a server refused before it did
//! anything: whether a repeat is safe is known by who asks. A caller may be dropped at any time: what it asked is
//! then done or not, and its answer is thrown away.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keyspace::Script;
use metrics::{counter, gauge, histogram};
use redis::cluster_routing::Slot;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult};
use tokio::time::Instant;

use super::fault;
use super::line::{Dial, Line};
use super::wire::Wire;
use crate::pool::{Pool, Refusal};
use config::{PoolSettings, RedisServerSettings, RedisTopology};
use contract::Fault;

/// What a call that has a connection for itself waits for an answer: its own bound is tighter.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The way of one role to its servers.
pub struct Link {
    role: &'static str,
    prefix: String,
    /// Whose servers, and where; for messages.
    server: String,
    topology: RedisTopology,
    /// To where the truth is.
    wires: Vec<Wire>,
    /// To where stale reads may go.
    readers: Vec<Wire>,
    turn: AtomicUsize,
    /// Made when first used: most roles never block.
    pool: OnceLock<Pool<Dial>>,
    exclusive: Dial,
    pool_settings: PoolSettings,
    response_timeout: Duration,
}

impl Link {
    /// Begins to connect, without waiting for it. `role` is `cache`, `metadata` or `queue`: a name for messages, measures
    /// and, unless the settings have another, the prefix of the keys. Fails if the settings cannot be understood.
    /// Must be called within a runtime.
    pub fn new(role: &'static str, settings: &RedisServerSettings) -> Result<Self, Fault> {
        let (dials, readers, exclusive) = dials(role, settings).map_err(|error| {
            // The library's own words do not repeat the URL.
            Fault::Invalid(format!("redis of {role}: {error}"))
        })?;
        let response_timeout = Duration::from_millis(settings.response_timeout_ms.max(1));
        let pause = Duration::from_millis(settings.reconnect_pause_ms);
        let keep = |dials: Vec<Dial>| {
            let wires = dials.into_iter().map(|dial| Wire::new(dial, response_timeout, pause));
            wires.collect::<Vec<_>>()
        };
        Ok(Self {
            role,
            prefix: match settings.prefix.as_str() {
                "" => format!("mpim:{role}:"),
                prefix => prefix.to_owned(),
            },
            server: exclusive.server.clone(),
            topology: settings.topology,
            wires: keep(dials),
            readers: keep(readers),
            turn: AtomicUsize::new(0),
            pool: OnceLock::new(),
            exclusive,
            pool_settings: settings.pool.clone(),
            response_timeout,
        })
    }

    /// The answers to several commands that are sent together. In a cluster all keys must be of one
    /// [group](keyspace::Link::group).
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Fault> {
        let ask = async |mut line: Line| pipeline.query_async(&mut line).await;
        self.bounded(self.attempt(&self.wires, ask)).await
    }

    /// The answer to a command that may block for `wait`, on a connection of its own.
    pub async fn block<T: FromRedisValue>(&self, command: &Cmd, wait: Duration) -> Result<T, Fault> {
        let mut lease = self.pool().acquire().await.map_err(|refusal| match refusal {
            Refusal::Unreachable(what) => Fault::Unavailable(what),
            Refusal::Exhausted(_) => Fault::Overloaded(format!("{}: {refusal}", self.server)),
        })?;
        // Whoever drops this while it waits leaves a connection that is in the middle of something.
        lease.retire();
        let begun = Instant::now();
        let line: &mut Line = &mut lease;
        let answer: RedisResult<T> = tokio::time::timeout(wait + self.response_timeout, command.query_async(line))
            .await
            .map_err(|_| {
                self.record(begun, "timeout");
                self.late(wait + self.response_timeout)
            })?;
        if answer
            .as_ref()
            .err()
            .is_none_or(|error| !fault::is_of_connection(error))
        {
            lease.keep();
        }
        // How long it took is up to who publishes, so it is only counted.
        let result = if answer.is_ok() { "ok" } else { "failed" };
        counter!("mpim_redis_calls_total", "role" => self.role, "result" => result).increment(1);
        answer.map_err(|error| fault::of(&error, &self.server))
    }

    /// Whether the servers answer; if not, what is wrong, and where. For the start: waits for a connection to be made.
    pub async fn check(&self) -> Result<(), Fault> {
        let connecting = self.exclusive.connect_timeout + self.response_timeout;
        let checked = tokio::time::timeout(connecting, async {
            for wire in self.wires.iter().chain(&self.readers) {
                let mut line = wire.line().await?;
                let pinged = line.ping().await;
                pinged.map_err(|error| fault::of(&error, &self.server))?;
            }
            Ok(())
        });
        checked.await.unwrap_or_else(|_| Err(self.late(connecting)))
    }

    /// Writes the gauges: shared connections that work, and the pool of the others.
    pub fn measure(&self) {
        let ready = self.wires.iter().chain(&self.readers).filter(|wire| wire.is_ready());
        gauge!("mpim_redis_connections", "role" => self.role).set(ready.count() as f64);
        if let Some(pool) = self.pool.get() {
            pool.measure();
        }
    }

    fn pool(&self) -> &Pool<Dial> {
        self.pool
            .get_or_init(|| Pool::new(self.role, self.exclusive.clone(), &self.pool_settings))
    }

    async fn ask<T: FromRedisValue>(&self, wires: &[Wire], command: &Cmd) -> Result<T, Fault> {
        let ask = async |mut line: Line| command.query_async(&mut line).await;
        self.attempt(wires, ask).await
    }

    /// Asks on the connection whose turn it is. One that fails, or is not heard of in time, is looked after.
    async fn attempt<T>(&self, wires: &[Wire], ask: impl AsyncFnOnce(Line) -> RedisResult<T>) -> Result<T, Fault> {
        let Some(wire) = self.next(wires) else {
            return Err(Fault::Unavailable(format!("{}: no server is known", self.server)));
        };
        let line = wire.line().await?;
        let doubt = Doubt(Some(wire));
        let answer = ask(line).await;
        if answer
            .as_ref()
            .err()
            .is_none_or(|error| !fault::is_of_connection(error))
        {
            doubt.settle();
        }
        answer.map_err(|error| fault::of(&error, &self.server))
    }

    /// The next of those that work, or of all if none does.
    fn next<'a>(&self, wires: &'a [Wire]) -> Option<&'a Wire> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let ready = wires.iter().filter(|wire| wire.is_ready()).count();
        match ready {
            0 => wires.get(turn % wires.len().max(1)),
            ready => wires.iter().filter(|wire| wire.is_ready()).nth(turn % ready),
        }
        .or_else(|| wires.first())
    }

    /// A whole call: what it gives within the time that a call has, measured.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let begun = Instant::now();
        let answered = tokio::time::timeout(self.response_timeout, call).await;
        let answer = answered.unwrap_or_else(|_| Err(self.late(self.response_timeout)));
        let result = match &answer {
            Ok(_) => "ok",
            Err(Fault::Timeout(_)) => "timeout",
            Err(Fault::Overloaded(_)) => "full",
            Err(Fault::Unavailable(_) | Fault::Invalid(_)) => "failed",
        };
        self.record(begun, result);
        answer
    }

    fn record(&self, begun: Instant, result: &'static str) {
        counter!("mpim_redis_calls_total", "role" => self.role, "result" => result).increment(1);
        histogram!("mpim_redis_seconds", "role" => self.role).record(begun.elapsed().as_secs_f64());
    }

    fn late(&self, after: Duration) -> Fault {
        Fault::Timeout(format!("{}: no answer within {after:?}", self.server))
    }
}

impl keyspace::Link for Link {
    type Group = Slot;

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn group(&self, key: &str) -> Option<Slot> {
        (self.topology == RedisTopology::Cluster).then(|| Slot::for_key(key))
    }

    async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        self.bounded(self.ask(&self.wires, command)).await
    }

    async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        self.bounded(async {
            if self.readers.iter().any(Wire::is_ready) {
                // Half of the time is left for the master.
                let nearby = tokio::time::timeout(self.response_timeout / 2, self.ask(&self.readers, command));
                if let Ok(Ok(answer)) = nearby.await {
                    return Ok(answer);
                }
                counter!("mpim_redis_fallbacks_total", "role" => self.role).increment(1);
            }
            self.ask(&self.wires, command).await
        })
        .await
    }

    async fn run<T, K, A>(&self, script: &Script, keys: &[K], args: &[A]) -> Result<T, Fault>
    where
        T: FromRedisValue,
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        let ask = async |mut line: Line| match script.by_name(keys, args).query_async(&mut line).await {
            // A server that was emptied or replaced: nothing was done.
            Err(error) if fault::is_missing_script(&error) => script.by_text(keys, args).query_async(&mut line).await,
            answer => answer,
        };
        self.bounded(self.attempt(&self.wires, ask)).await
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Link")
            .field("server", &self.server)
            .field("topology", &self.topology)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Has a connection looked after unless its answer came, also when the caller is dropped before.
struct Doubt<'a>(Option<&'a Wire>);

impl Doubt<'_> {
    fn settle(mut self) {
        self.0 = None;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(wire) = self.0 {
            wire.doubt();
        }
    }
}

/// The shared ways to the truth, those to its copies, and the way of a connection for one caller.
fn dials(role: &str, settings: &RedisServerSettings) -> RedisResult<(Vec<Dial>, Vec<Dial>, Dial)> {
    let connect = Duration::from_millis(settings.connect_timeout_ms.max(1));
    let patience = Duration::from_millis(settings.response_timeout_ms.max(1));
    let count = settings.connections.max(1);
    let empty = || redis::RedisError::from((redis::ErrorKind::InvalidClientConfig, "no url is given"));
    let (master, replicas) = settings.urls.split_first().ok_or_else(empty)?;
    match settings.topology {
        RedisTopology::Cluster => {
            let cluster = |patience, stale| Dial::cluster(role, &settings.urls, connect, patience, stale);
            Ok((
                vec![cluster(patience, false)?; count],
                vec![cluster(patience, true)?; count],
                cluster(BLOCKING_PATIENCE, false)?,
            ))
        }
        RedisTopology::Single | RedisTopology::Replicated => {
            let master = Dial::server(role, master, connect)?;
            let mut readers = Vec::new();
            for replica in replicas {
                readers.extend(vec![Dial::server(role, replica, connect)?; count]);
            }
            Ok((vec![master.clone(); count], readers, master))
        }
    }
}
