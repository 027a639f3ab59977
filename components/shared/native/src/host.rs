//! The calls of components, answered by the parts of a world.

use guest::bindings::mpim::host::cache::{Filled, Found};
use guest::metadata::Lease;
use guest::native::{Answer, Host, Step};
use guest::queue::Entry;
use guest::route::Decision;
use guest::sql::{Error as SqlError, Outcome, Value};
use guest::telemetry::Level;
use guest::{
    Audience, ContactChange, Error, GroupChange, HostError, Kick, Message, PresenceChange, Priority, Recall,
    StateChange, Waiting,
};

use crate::cache::ListEnd;
use crate::call::{Call, Failure, Fault};
use crate::push::Push;
use crate::turn::turn;
use crate::world::{Callee, World};

/// Whether the caller learns what was done.
enum End {
    Told,
    Lost,
}

impl End {
    fn of<T, E: Failure>(self, answer: Result<T, E>) -> Result<T, E> {
        match self {
            Self::Told => answer,
            Self::Lost => answer.and_then(|_| Err(E::lost())),
        }
    }
}

impl World {
    /// Lets others go first, and then begins a call, unless it is out of reach or refused.
    async fn begin<E: Failure>(&self, call: Call) -> Result<End, E> {
        turn().await;
        if let Some(hook) = self.parts.calls.hook(call) {
            hook(self);
        }
        match self.parts.calls.begin(call)? {
            None => Ok(End::Told),
            Some(Fault::AnswerLost) => Ok(End::Lost),
            Some(Fault::Refused) => Err(E::unavailable(format!("{call:?} is refused"))),
            Some(Fault::Overtaken) => Err(E::overtaken()),
        }
    }

    fn step<T: 'static, E: Failure + 'static>(
        &self,
        call: Call,
        act: impl FnOnce(&Self) -> Result<T, E> + 'static,
    ) -> Answer<Result<T, E>> {
        let world = self.clone();
        Box::pin(async move {
            let end = world.begin(call).await?;
            end.of(act(&world))
        })
    }

    /// A step of the cache that has no error to give.
    fn silent_step(&self, call: Call, act: impl FnOnce(&Self) + 'static) -> Answer<()> {
        let done = self.step(call, |world| {
            act(world);
            Ok::<_, HostError>(())
        });
        Box::pin(async { drop(done.await) })
    }

    fn cache_keys(&self, keys: &[String]) -> Vec<String> {
        keys.iter().map(|key| self.cache_key(key)).collect()
    }

    fn push(&self, call: Call, push: Push) -> Answer<Result<(), HostError>> {
        self.step(call, |world| {
            world.parts.pushes.borrow_mut().push(push);
            Ok(())
        })
    }

    fn ask<T: 'static>(&self, call: Call, callee: Option<Callee<T>>, users: Vec<u64>) -> Answer<Result<T, Error>> {
        let world = self.clone();
        Box::pin(async move {
            let end = world.begin::<Error>(call).await?;
            let callee = callee.ok_or_else(|| Error::internal("the test gives no such function"))?;
            end.of(callee(users).await)
        })
    }
}

impl Host for World {
    fn now_ms(&self) -> u64 {
        self.parts.clock.now_ms()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), HostError> {
        self.parts.random.borrow_mut().fill(bytes);
        Ok(())
    }

    fn next_id(&self) -> u64 {
        let id = self.parts.last_id.get() + 1;
        self.parts.last_id.set(id);
        id
    }

    fn config_value(&self, key: &str) -> Option<String> {
        self.setting(key)
    }

    fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        self.parts.telemetry.log(level, message, fields);
    }

    fn counter(&self, name: &str, by: u64, _: &[(String, String)]) {
        self.parts.telemetry.count(name, by);
    }

    fn acquire_permits(&self, name: &str, key: &str, permits: u32) -> Result<(), u64> {
        self.parts.guards.acquire(&self.scoped(name), key, permits)
    }

    fn query(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        self.step(Call::Query, move |world| world.parts.store.query(&sql, &params))
    }

    fn query_stale(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        self.step(Call::QueryStale, move |world| {
            world.parts.store.query_stale(&sql, &params)
        })
    }

    fn execute(&self, sql: String, params: Vec<Value>) -> Answer<Result<u64, SqlError>> {
        self.step(Call::Execute, move |world| {
            let step = Step {
                sql,
                params,
                at_least: 0,
                taken: Vec::new(),
            };
            let outcomes = world.parts.store.batch(&[step])?;
            Ok(outcomes.iter().map(|outcome| outcome.affected).sum())
        })
    }

    fn batch(&self, steps: Vec<Step>) -> Answer<Result<Vec<Outcome>, SqlError>> {
        self.step(Call::Batch, move |world| {
            let longest = &world.parts.calls.longest_batch;
            longest.set(longest.get().max(steps.len()));
            world.parts.store.batch(&steps)
        })
    }

    fn lookup(&self, keys: Vec<String>) -> Answer<Result<Vec<Found>, HostError>> {
        let (count, keys) = (keys.len(), self.cache_keys(&keys));
        let found = self.step(Call::Lookup, move |world| {
            Ok::<_, HostError>(world.parts.cache.lookup(&keys))
        });
        // A cache that fails is no error.
        Box::pin(async move { Ok(found.await.unwrap_or_else(|_| vec![Found::Load(0); count])) })
    }

    fn fill(&self, entries: Vec<Filled>) -> Answer<()> {
        self.silent_step(Call::Fill, |world| world.parts.cache.fill(entries))
    }

    fn forget(&self, keys: Vec<String>) -> Answer<()> {
        let keys = self.cache_keys(&keys);
        self.silent_step(Call::Forget, move |world| world.parts.cache.forget(&keys))
    }

    fn get_cached(&self, keys: Vec<String>) -> Answer<Result<Vec<Option<Vec<u8>>>, HostError>> {
        let keys = self.cache_keys(&keys);
        self.step(Call::Get, move |world| {
            Ok(keys.iter().map(|key| world.parts.cache.get(key)).collect())
        })
    }

    fn set_cached(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Answer<Result<(), HostError>> {
        let key = self.cache_key(&key);
        self.step(Call::Set, move |world| world.parts.cache.put(key, value, ttl_ms))
    }

    fn exists_cached(&self, key: String) -> Answer<Result<bool, HostError>> {
        let key = self.cache_key(&key);
        self.step(Call::Exists, move |world| Ok(world.parts.cache.values.exists(&key)))
    }

    fn increment_cached(&self, key: String, by: i64, ttl_ms: u64) -> Answer<Result<i64, HostError>> {
        let key = self.cache_key(&key);
        self.step(Call::Increment, move |world| {
            world.parts.cache.values.increment(key, by, ttl_ms)
        })
    }

    fn decrement_cached(&self, key: String, by: i64, ttl_ms: u64) -> Answer<Result<i64, HostError>> {
        let key = self.cache_key(&key);
        self.step(Call::Decrement, move |world| {
            world.parts.cache.values.decrement(key, by, ttl_ms)
        })
    }

    fn push_left_cached(&self, key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Answer<Result<u64, HostError>> {
        let key = self.cache_key(&key);
        self.step(Call::PushLeft, move |world| {
            world.parts.cache.values.push(ListEnd::Left, key, values, ttl_ms)
        })
    }

    fn push_right_cached(&self, key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Answer<Result<u64, HostError>> {
        let key = self.cache_key(&key);
        self.step(Call::PushRight, move |world| {
            world.parts.cache.values.push(ListEnd::Right, key, values, ttl_ms)
        })
    }

    fn range_cached(&self, key: String, start: i64, stop: i64) -> Answer<Result<Vec<Vec<u8>>, HostError>> {
        let key = self.cache_key(&key);
        self.step(Call::Range, move |world| {
            world.parts.cache.values.range(&key, start, stop)
        })
    }

    fn allow_call(&self, name: &str) -> bool {
        self.parts.guards.allow(self.scoped(name))
    }

    fn report_call(&self, name: &str, success: bool) {
        self.parts.guards.report(self.scoped(name), success);
    }

    /// Cheap: what makes a hash dear is the host's.
    fn hash_password(&self, password: String) -> Answer<Result<String, HostError>> {
        self.step(Call::Hash, move |_| Ok(hash_of(&password)))
    }

    fn verify_password(&self, password: String, hash: String) -> Answer<Result<bool, HostError>> {
        self.step(Call::Verify, move |_| Ok(hash == hash_of(&password)))
    }

    fn put_leases(&self, leases: Vec<Lease>) -> Answer<Result<Vec<bool>, HostError>> {
        self.step(Call::Put, move |world| {
            let put = |lease: &Lease| {
                let set = world.scoped(&lease.set);
                world.parts.metadata.put(&set, &lease.member, lease.ttl_ms)
            };
            Ok(leases.iter().map(put).collect())
        })
    }

    fn remove_lease(&self, set: String, member: String) -> Answer<Result<bool, HostError>> {
        let set = self.scoped(&set);
        self.step(Call::Remove, move |world| {
            Ok(world.parts.metadata.remove(&set, &member))
        })
    }

    fn set_members(&self, sets: Vec<String>) -> Answer<Result<Vec<Vec<String>>, HostError>> {
        self.step(Call::Members, move |world| {
            let members = |set: &String| world.parts.metadata.members(&world.scoped(set));
            Ok(sets.iter().map(members).collect())
        })
    }

    fn count_members(&self, set: String) -> Answer<Result<u64, HostError>> {
        let set = self.scoped(&set);
        self.step(Call::Count, move |world| {
            Ok(world.parts.metadata.members(&set).len() as u64)
        })
    }

    fn publish(&self, topic: String, priority: Priority, payload: Vec<u8>) -> Answer<Result<u64, HostError>> {
        self.step(Call::Publish, move |world| {
            world.parts.queue.publish(topic, priority, payload)
        })
    }

    fn receive(&self, topic: String, group: String, max: u32, _: u32) -> Answer<Result<Vec<Entry>, HostError>> {
        self.step(Call::Receive, move |world| {
            Ok(world.parts.queue.receive(topic, group, max))
        })
    }

    fn ack(&self, topic: String, group: String, ids: Vec<u64>) -> Answer<Result<u32, HostError>> {
        self.step(Call::Ack, move |world| Ok(world.parts.queue.ack(topic, group, &ids)))
    }

    fn subscribe(&self, users: Vec<u64>, topic: String) -> Answer<Result<(), HostError>> {
        self.push(Call::Subscribe, Push::Subscribe(users, topic))
    }

    fn unsubscribe(&self, users: Vec<u64>, topic: String) -> Answer<Result<(), HostError>> {
        self.push(Call::Subscribe, Push::Unsubscribe(users, topic))
    }

    fn route_message(&self, users: Vec<u64>) -> Answer<Result<Decision, Error>> {
        self.ask(Call::Route, self.parts.routes.borrow().clone(), users)
    }

    fn watchers(&self, users: Vec<u64>) -> Answer<Result<Vec<Vec<u64>>, Error>> {
        self.ask(Call::Watchers, self.parts.watchers.borrow().clone(), users)
    }

    fn notify_message(&self, to: Audience, body: Message) -> Answer<Result<(), HostError>> {
        self.push(Call::Notify, Push::Message(to, body))
    }

    fn notify_receipt(&self, to: Audience, body: StateChange) -> Answer<Result<(), HostError>> {
        self.push(Call::Notify, Push::Receipt(to, body))
    }

    fn notify_recalled(&self, to: Audience, body: Recall) -> Answer<Result<(), HostError>> {
        self.push(Call::Notify, Push::Recalled(to, body))
    }

    fn notify_presence(&self, to: Audience, body: PresenceChange) -> Answer<Result<(), HostError>> {
        self.push(Call::Notify, Push::Presence(to, body))
    }

    fn notify_kicked(&self, to: Audience, body: Kick) -> Answer<Result<(), HostError>> {
        self.push(Call::Notify, Push::Kicked(to, body))
    }

    fn notify_contact(&self, to: Audience, body: ContactChange) -> Answer<Result<(), HostError>> {
        self.push(Call::Notify, Push::Contact(to, body))
    }

    fn notify_pending(&self, to: Audience, body: Waiting) -> Answer<Result<(), HostError>> {
        self.push(Call::Notify, Push::Pending(to, body))
    }

    fn notify_group(&self, to: Audience, body: GroupChange) -> Answer<Result<(), HostError>> {
        self.push(Call::Notify, Push::Group(to, body))
    }
}

fn hash_of(password: &str) -> String {
    format!("hash of {password}")
}
