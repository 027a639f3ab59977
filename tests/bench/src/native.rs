//! The host of a native build: the imports of one function, straight over the backends of the node.
//!
//! It has what the capabilities of the host have, names of sets and keys included, so that both find the same things. It
//! leaves out what only guards them: deadlines that calls share, breakers (but that of the queue, which is part of
//! publishing), rates, measures.

mod notify;
mod values;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use capabilities::Services;
use config::FunctionSettings;
use contacts::Relations as _;
use contract::Fault;
use guest::bindings::mpim::host::cache::{Filled, Found};
use guest::metadata::Lease;
use guest::native::{Answer, Host, Step, give};
use guest::route::Decision;
use guest::sql::{Error as SqlError, Outcome, Value};
use guest::{Audience, Error, HostError, Kick, Message, PresenceChange, Priority, StateChange, Waiting, queue};
use route::Route as _;
use wire::push::shared_topic;

/// What a call of the store may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The imports of one function.
pub(crate) struct Native {
    node: Arc<Services>,
    function: Arc<str>,
    cache_space: String,
    config: BTreeMap<String, String>,
    cost: password::Cost,
    /// The function that this one calls.
    calls: Option<Rc<Native>>,
    this: Weak<Self>,
}

impl Native {
    /// The imports of a function with its settings.
    pub(crate) fn new(
        node: &Arc<Services>,
        function: &str,
        settings: &FunctionSettings,
        cost: password::Cost,
        calls: Option<Rc<Self>>,
    ) -> Rc<Self> {
        let config = settings.config.iter();
        let config = config.map(|(key, value)| (key.clone(), value.to_string())).collect();
        Rc::new_cyclic(|this| Self {
            node: node.clone(),
            function: function.into(),
            cache_space: settings.cache_space.clone().unwrap_or_else(|| function.to_owned()),
            config,
            cost,
            calls,
            this: this.clone(),
        })
    }

    /// Runs a call of the function on these imports.
    pub(crate) fn run<F: Future>(self: &Rc<Self>, call: F) -> Within<F> {
        Within {
            host: self.clone(),
            outer: None,
            call: Box::pin(call),
        }
    }

    /// Runs a call of the function that this one calls.
    fn nested<T: 'static, F>(&self, call: impl FnOnce() -> F) -> Answer<Result<T, Error>>
    where
        F: Future<Output = Result<T, Error>> + 'static,
    {
        let Some(callee) = self.calls.clone() else {
            return Box::pin(async { Err(Error::internal("no such function")) });
        };
        Box::pin(Within {
            host: callee,
            outer: self.this.upgrade(),
            call: Box::pin(call()),
        })
    }

    fn scoped(&self, key: &str) -> String {
        format!("{}/{key}", self.function)
    }

    fn cached(&self, key: &str) -> String {
        format!("{}/{key}", self.cache_space)
    }

    fn looked_up(&self, keys: &[String]) -> Vec<String> {
        keys.iter().map(|key| format!("~{}/{key}", self.cache_space)).collect()
    }
}

/// A call that finds the imports of its function whenever it is polled: several functions take turns on one thread.
pub(crate) struct Within<F> {
    host: Rc<Native>,
    /// Whose imports are those of the thread again after a turn.
    outer: Option<Rc<Native>>,
    call: Pin<Box<F>>,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        give(self.host.clone());
        let polled = self.call.as_mut().poll(context);
        if let Some(outer) = &self.outer {
            give(outer.clone());
        }
        polled
    }
}

fn done<T: 'static>(answer: T) -> Answer<T> {
    Box::pin(std::future::ready(answer))
}

impl Host for Native {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), HostError> {
        getrandom::fill(bytes).map_err(|error| HostError::Unavailable(error.to_string()))
    }

    fn next_id(&self) -> u64 {
        // A node without a number gives none; zero is refused by the key of what it is for.
        self.node.ids.next().unwrap_or_default()
    }

    fn config_value(&self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }

    fn query(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        let node = self.node.clone();
        Box::pin(async move {
            let params = params.into_iter().map(values::to_store).collect();
            let rows = node.sql.query(sql, params, Instant::now() + DEADLINE).await;
            Ok(values::rows(rows.map_err(values::sql_error)?))
        })
    }

    fn execute(&self, sql: String, params: Vec<Value>) -> Answer<Result<u64, SqlError>> {
        let node = self.node.clone();
        Box::pin(async move {
            let params = params.into_iter().map(values::to_store).collect();
            let changed = node.sql.execute(sql, params, Instant::now() + DEADLINE).await;
            changed.map_err(values::sql_error)
        })
    }

    fn batch(&self, steps: Vec<Step>) -> Answer<Result<Vec<Outcome>, SqlError>> {
        let node = self.node.clone();
        Box::pin(async move {
            let steps = steps.into_iter().map(values::step).collect();
            let outcomes = node.sql.batch(steps, Instant::now() + DEADLINE).await;
            let outcomes = outcomes.map_err(values::sql_error)?;
            Ok(outcomes.into_iter().map(values::outcome).collect())
        })
    }

    fn lookup(&self, keys: Vec<String>) -> Answer<Result<Vec<Found>, HostError>> {
        let (node, function, keys) = (self.node.clone(), self.function.clone(), self.looked_up(&keys));
        Box::pin(async move {
            let (found, _) = node
                .read_through
                .lookup(&node.cache, &function, &keys)
                .await
                .map_err(fault)?;
            Ok(found.into_iter().map(values::found).collect())
        })
    }

    fn fill(&self, entries: Vec<Filled>) -> Answer<()> {
        let (node, function) = (self.node.clone(), self.function.clone());
        Box::pin(async move {
            let entries = entries.into_iter().map(values::filled).collect();
            // What is not kept is loaded again.
            let _ = node.read_through.fill(&node.cache, &function, entries).await;
        })
    }

    fn forget(&self, keys: Vec<String>) -> Answer<()> {
        let (node, keys) = (self.node.clone(), self.looked_up(&keys));
        Box::pin(async move {
            // The cache of this process forgets whatever it is told to.
            let _ = node.read_through.forget(&node.cache, &keys).await;
        })
    }

    fn get_cached(&self, keys: Vec<String>) -> Answer<Result<Vec<Option<Vec<u8>>>, HostError>> {
        let keys: Vec<String> = keys.iter().map(|key| self.cached(key)).collect();
        let node = self.node.clone();
        Box::pin(async move { node.cache.get_many(&keys).await.map_err(fault) })
    }

    fn set_cached(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Answer<Result<(), HostError>> {
        let (node, key) = (self.node.clone(), self.cached(&key));
        Box::pin(async move { node.cache.set(key, value, ttl_ms).await.map_err(fault) })
    }

    fn hash_password(&self, password: String) -> Answer<Result<String, HostError>> {
        let cost = self.cost;
        Box::pin(away(move || password::hash(password.as_bytes(), cost)))
    }

    fn verify_password(&self, password: String, hash: String) -> Answer<Result<bool, HostError>> {
        let cost = self.cost;
        Box::pin(away(move || password::verify(password.as_bytes(), &hash, cost)))
    }

    fn put_leases(&self, leases: Vec<Lease>) -> Answer<Result<Vec<bool>, HostError>> {
        let leases = leases.into_iter().map(|lease| contract::metadata::Lease {
            set: self.scoped(&lease.set),
            member: lease.member,
            ttl_ms: lease.ttl_ms,
        });
        let (node, leases) = (self.node.clone(), leases.collect());
        Box::pin(async move { node.metadata.put(leases).await.map_err(fault) })
    }

    fn remove_lease(&self, set: String, member: String) -> Answer<Result<bool, HostError>> {
        let (node, set) = (self.node.clone(), self.scoped(&set));
        Box::pin(async move { node.metadata.remove(&set, &member).await.map_err(fault) })
    }

    fn set_members(&self, sets: Vec<String>) -> Answer<Result<Vec<Vec<String>>, HostError>> {
        let sets: Vec<String> = sets.iter().map(|set| self.scoped(set)).collect();
        let node = self.node.clone();
        Box::pin(async move { node.metadata.members(&sets).await.map_err(fault) })
    }

    fn count_members(&self, set: String) -> Answer<Result<u64, HostError>> {
        let (node, set) = (self.node.clone(), self.scoped(&set));
        Box::pin(async move { node.metadata.count(&set).await.map_err(fault) })
    }

    fn publish(&self, topic: String, priority: Priority, payload: Vec<u8>) -> Answer<Result<u64, HostError>> {
        let (node, topic) = (self.node.clone(), shared_topic(&topic));
        let lane = values::lane(priority);
        Box::pin(async move { node.queue.publish(&topic, lane, payload).await.map_err(fault) })
    }

    fn receive(&self, _: String, _: String, _: u32, _: u32) -> Answer<Result<Vec<queue::Entry>, HostError>> {
        done(Ok(Vec::new()))
    }

    fn route_message(&self, users: Vec<u64>) -> Answer<Result<Decision, Error>> {
        self.nested(async move || {
            let route::Decision {
                nodes,
                online,
                multi_connection,
                offline,
            } = route::Component::route_message(users).await?;
            Ok(Decision {
                nodes,
                online,
                multi_connection,
                offline,
            })
        })
    }

    fn watchers(&self, users: Vec<u64>) -> Answer<Result<Vec<Vec<u64>>, Error>> {
        self.nested(move || contacts::Component::watchers(users))
    }

    fn notify_message(&self, to: Audience, body: Message) -> Answer<Result<(), HostError>> {
        notify::tell(&self.node, "message", to, &body)
    }

    fn notify_receipt(&self, to: Audience, body: StateChange) -> Answer<Result<(), HostError>> {
        notify::tell(&self.node, "receipt", to, &body)
    }

    fn notify_presence(&self, to: Audience, body: PresenceChange) -> Answer<Result<(), HostError>> {
        notify::tell(&self.node, "presence", to, &body)
    }

    fn notify_kicked(&self, to: Audience, body: Kick) -> Answer<Result<(), HostError>> {
        notify::tell(&self.node, "kicked", to, &body)
    }

    fn notify_pending(&self, to: Audience, body: Waiting) -> Answer<Result<(), HostError>> {
        notify::tell(&self.node, "pending", to, &body)
    }
}

async fn away<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, password::Invalid> + Send + 'static,
) -> Result<T, HostError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| HostError::Unavailable(error.to_string()))?;
    done.map_err(|invalid| HostError::Invalid(invalid.0))
}

fn fault(fault: Fault) -> HostError {
    match fault {
        Fault::Invalid(message) => HostError::Invalid(message),
        Fault::Unavailable(message) => HostError::Unavailable(message),
        Fault::Overloaded(message) => HostError::Overloaded(message),
        Fault::Timeout(message) => HostError::Timeout(message),
    }
}
