//! Pools of connections to servers: how many may exist, for how long, and how long anybody waits for one.
//!
//! A thin coat over `bb8`, which owns the connections: it adds a bound on idle ones, checks of those that were
//! idle for long, connections that their user found to be bad, quick failure while the server cannot be reached,
//! and measures. It knows no protocol: [`Connect`] does.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bb8::{ManageConnection, PooledConnection, RunError};
use config::PoolSettings;
use metrics::{SharedString, counter, gauge};
use tokio::sync::Notify;

/// For how long connections beyond `max_idle` are kept after they were needed: load comes in bursts, and a connection
/// costs more to make than many of its uses.
const AFTERGLOW: Duration = Duration::from_secs(1);

/// How connections of one kind are made and checked.
pub trait Connect: Send + Sync + 'static {
    /// A connection that one caller uses at a time.
    type Connection: Send + 'static;

    /// Makes a connection. An error says what and where, without secrets.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, String>> + Send;

    /// Whether the server answers on it.
    fn check(&self, connection: &mut Self::Connection) -> impl Future<Output = Result<(), String>> + Send;
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// None can be made.
    #[error("{0}")]
    Unreachable(String),
    /// All are in use, and none was given back in time.
    #[error("all {0} connections are in use")]
    Exhausted(u32),
}

/// A pool of connections.
pub struct Pool<C: Connect> {
    pool: bb8::Pool<Tended<C>>,
    name: SharedString,
    trouble: Arc<Trouble>,
    waiting: Arc<AtomicUsize>,
    max_idle: u32,
    max_active: u32,
    /// When it was last seen that fewer than `max_idle` lay unused.
    needed: Mutex<tokio::time::Instant>,
}

/// The last failure to connect, and who wants to hear of the next.
#[derive(Debug, Default)]
struct Trouble {
    last: Mutex<String>,
    met: Notify,
}

struct Tended<C> {
    connect: C,
    /// What the measures call the pool.
    name: SharedString,
    connect_timeout: Duration,
    check_after: Duration,
    trouble: Arc<Trouble>,
}

struct Kept<T> {
    connection: T,
    used: Instant,
    /// To be closed rather than kept.
    retired: bool,
}

impl<C: Connect> Pool<C> {
    /// A pool that begins to make its first connections, without waiting for them. Must be called within a runtime.
    pub fn new(name: impl Into<SharedString>, connect: C, settings: &PoolSettings) -> Self {
        let name = name.into();
        let trouble = Arc::new(Trouble::default());
        let tended = Tended {
            connect,
            name: name.clone(),
            connect_timeout: Duration::from_millis(settings.connect_timeout_ms),
            check_after: Duration::from_millis(settings.check_after_ms),
            trouble: Arc::clone(&trouble),
        };
        let max_active = settings.max_active.max(1);
        let pool = bb8::Pool::builder()
            .max_size(max_active)
            .min_idle(settings.min_idle.min(max_active))
            .idle_timeout(Duration::from_millis(settings.idle_timeout_ms.max(1)))
            .max_lifetime(Duration::from_millis(settings.max_lifetime_ms.max(1)))
            .connection_timeout(Duration::from_millis(settings.acquire_timeout_ms.max(1)))
            .reaper_rate(Duration::from_millis((settings.idle_timeout_ms / 4).clamp(10, 10_000)))
            .test_on_check_out(true)
            .retry_connection(false)
            // Those used last are warm, here and on the server; the others come to be closed.
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .build_unchecked(tended);
        Self {
            pool,
            name,
            trouble,
            waiting: Arc::default(),
            max_idle: settings.max_idle.max(settings.min_idle).max(1),
            max_active,
            needed: Mutex::new(tokio::time::Instant::now()),
        }
    }

    /// A connection for this caller alone, given back when it is dropped. While there is none at all and none can be
    /// made it fails at once, else at the latest after `acquire_timeout_ms`.
    pub async fn acquire(&self) -> Result<Lease<'_, C>, Refusal> {
        let _waiting = Waiting::new(&self.waiting);
        let mut acquired = std::pin::pin!(self.pool.get());
        loop {
            let mut trouble = std::pin::pin!(self.trouble.met.notified());
            // Listens before the pool is asked, so that a failure in between is heard.
            trouble.as_mut().enable();
            tokio::select! {
                biased;
                acquired = &mut acquired => return match acquired {
                    Ok(connection) => {
                        self.note_need();
                        Ok(Lease { pool: self, connection })
                    }
                    Err(RunError::User(error)) => Err(Refusal::Unreachable(error)),
                    Err(RunError::TimedOut) if self.pool.state().connections == 0 => Err(self.unreachable()),
                    Err(RunError::TimedOut) => Err(Refusal::Exhausted(self.max_active)),
                },
                () = trouble => if self.pool.state().connections == 0 {
                    return Err(self.unreachable());
                },
            }
        }
    }

    /// Writes the gauges: connections idle and in use, callers that wait.
    pub fn measure(&self) {
        let name = || self.name.clone();
        let (all, idle) = self.size();
        gauge!("mpim_pool_connections", "pool" => name(), "state" => "idle").set(idle);
        gauge!("mpim_pool_connections", "pool" => name(), "state" => "in_use").set(all.saturating_sub(idle));
        gauge!("mpim_pool_connections_max", "pool" => name()).set(self.max_active);
        gauge!("mpim_pool_waiting", "pool" => name()).set(self.waiting.load(Ordering::Relaxed) as f64);
    }

    /// Connections that exist, and how many of them are unused.
    pub fn size(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections, state.idle_connections)
    }

    fn note_need(&self) {
        if self.pool.state().idle_connections < self.max_idle {
            *self.needed.lock().unwrap_or_else(PoisonError::into_inner) = tokio::time::Instant::now();
        }
    }

    /// Whether one more unused connection is one too many.
    fn is_full(&self) -> bool {
        self.pool.state().idle_connections >= self.max_idle
            && self.needed.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= AFTERGLOW
    }

    fn unreachable(&self) -> Refusal {
        Refusal::Unreachable(self.trouble.last.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl<C: Connect> std::fmt::Debug for Pool<C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (connections, idle) = self.size();
        formatter
            .debug_struct("Pool")
            .field("name", &self.name)
            .field("connections", &connections)
            .field("idle", &idle)
            .finish()
    }
}

/// A connection that one caller has for itself.
pub struct Lease<'a, C: Connect> {
    pool: &'a Pool<C>,
    connection: PooledConnection<'a, Tended<C>>,
}

impl<C: Connect> Lease<'_, C> {
    /// Closes the connection instead of giving it back: it broke, or what it is in the middle of is unknown. A caller
    /// that may be dropped while it uses a connection retires it first and [keeps](Self::keep) it when it is done.
    pub fn retire(&mut self) {
        self.connection.retired = true;
    }

    /// Takes [`Self::retire`] back.
    pub fn keep(&mut self) {
        self.connection.retired = false;
    }
}

impl<C: Connect> Deref for Lease<'_, C> {
    type Target = C::Connection;

    fn deref(&self) -> &C::Connection {
        &self.connection.connection
    }
}

impl<C: Connect> DerefMut for Lease<'_, C> {
    fn deref_mut(&mut self) -> &mut C::Connection {
        &mut self.connection.connection
    }
}

impl<C: Connect> Drop for Lease<'_, C> {
    fn drop(&mut self) {
        self.connection.used = Instant::now();
        if self.pool.is_full() {
            self.connection.retired = true;
        }
    }
}

impl<C: Connect> ManageConnection for Tended<C> {
    type Connection = Kept<C::Connection>;
    type Error = String;

    async fn connect(&self) -> Result<Self::Connection, String> {
        let made = tokio::time::timeout(self.connect_timeout, self.connect.connect()).await;
        let made = made.unwrap_or_else(|_| Err(format!("no connection within {:?}", self.connect_timeout)));
        match made {
            Ok(connection) => {
                counter!("mpim_pool_connects_total", "pool" => self.name.clone(), "result" => "made").increment(1);
                Ok(Kept {
                    connection,
                    used: Instant::now(),
                    retired: false,
                })
            }
            Err(error) => {
                counter!("mpim_pool_connects_total", "pool" => self.name.clone(), "result" => "failed").increment(1);
                error.clone_into(&mut self.trouble.last.lock().unwrap_or_else(PoisonError::into_inner));
                self.trouble.met.notify_waiters();
                Err(error)
            }
        }
    }

    async fn is_valid(&self, kept: &mut Self::Connection) -> Result<(), String> {
        if kept.used.elapsed() < self.check_after {
            return Ok(());
        }
        let checked = tokio::time::timeout(self.connect_timeout, self.connect.check(&mut kept.connection)).await;
        let checked = checked.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.connect_timeout)));
        if checked.is_err() {
            counter!("mpim_pool_evictions_total", "pool" => self.name.clone()).increment(1);
        }
        checked
    }

    fn has_broken(&self, kept: &mut Self::Connection) -> bool {
        kept.retired
    }
}

/// Counts a caller for as long as it waits, also when it is dropped.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A server that counts, and that may be down.
    #[derive(Default, Clone)]
    struct Server {
        made: Arc<AtomicUsize>,
        down: Arc<AtomicBool>,
        /// Connections made before this one do not answer any more.
        sick_before: Arc<AtomicUsize>,
    }

    impl Connect for Server {
        type Connection = usize;

        async fn connect(&self) -> Result<usize, String> {
            if self.down.load(Ordering::SeqCst) {
                return Err("the server is down".to_owned());
            }
            Ok(self.made.fetch_add(1, Ordering::SeqCst))
        }

        async fn check(&self, connection: &mut usize) -> Result<(), String> {
            match *connection < self.sick_before.load(Ordering::SeqCst) {
                true => Err("no answer".to_owned()),
                false => Ok(()),
            }
        }
    }

    fn settings() -> PoolSettings {
        PoolSettings {
            min_idle: 1,
            max_idle: 2,
            max_active: 4,
            acquire_timeout_ms: 100,
            ..PoolSettings::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_beyond_the_idle_bound_are_closed_when_they_are_given_back() {
        let pool = Pool::new("test", Server::default(), &settings());
        let mut leases = Vec::new();
        for _ in 0..4 {
            leases.push(pool.acquire().await.expect("a connection"));
        }
        assert_eq!(pool.acquire().await.map(|_| ()), Err(Refusal::Exhausted(4)));
        tokio::time::advance(AFTERGLOW).await;
        drop(leases);
        assert_eq!(pool.size(), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_were_needed_just_now_are_kept_for_the_next_burst() {
        let server = Server::default();
        let pool = Pool::new("test", server.clone(), &settings());
        for _ in 0..3 {
            let mut leases = Vec::new();
            for _ in 0..4 {
                leases.push(pool.acquire().await.expect("a connection"));
            }
            drop(leases);
            tokio::time::advance(AFTERGLOW / 2).await;
        }
        assert_eq!(server.made.load(Ordering::SeqCst), 4);
        tokio::time::advance(AFTERGLOW).await;
        for _ in 0..2 {
            drop(pool.acquire().await.expect("a connection"));
        }
        assert_eq!(pool.size(), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retired_connection_is_not_given_out_again() {
        let server = Server::default();
        let pool = Pool::new("test", server.clone(), &settings());
        let mut lease = pool.acquire().await.expect("a connection");
        let first = *lease;
        lease.retire();
        drop(lease);
        let next = pool.acquire().await.expect("another");
        assert_ne!(*next, first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_answer_after_a_long_rest_is_replaced() {
        let server = Server::default();
        let pool = Pool::new(
            "test",
            server.clone(),
            &PoolSettings {
                check_after_ms: 0,
                ..settings()
            },
        );
        let first = *pool.acquire().await.expect("a connection");
        server
            .sick_before
            .store(server.made.load(Ordering::SeqCst), Ordering::SeqCst);
        assert_ne!(*pool.acquire().await.expect("another"), first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_down_is_told_at_once_and_used_when_it_is_back() {
        let server = Server::default();
        server.down.store(true, Ordering::SeqCst);
        let pool = Pool::new("test", server.clone(), &settings());
        let begun = tokio::time::Instant::now();
        let refused = pool.acquire().await.map(|_| ());
        assert_eq!(refused, Err(Refusal::Unreachable("the server is down".to_owned())));
        assert!(begun.elapsed() < Duration::from_millis(100));
        server.down.store(false, Ordering::SeqCst);
        assert!(pool.acquire().await.is_ok());
    }
}
