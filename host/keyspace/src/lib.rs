//! What a cluster of mpim keeps in Redis: the keys, the scripts that change them, and what the values say.
//!
//! Whoever shares a Redis with a cluster, a node of it or a function elsewhere, does so by these rules. Commands and
//! answers are carried by a [`Link`], of which there is more than one kind; this crate owns no connection, waits for
//! nothing but answers, and compiles to WebAssembly as well. Everything that decides about time does so by the clock of
//! the server, so that all agree; and every change of more than one thing is one script, so that nobody sees half of it.

mod cache;
pub mod claim;
mod gather;
mod metadata;
mod script;
pub mod topic;
mod topics;

use std::hash::Hash;
use std::sync::Arc;

use redis::{Cmd, FromRedisValue};

pub use self::cache::Cache;
pub use self::gather::gather;
pub use self::metadata::Metadata;
pub use self::script::Script;
pub use self::topics::{Full, Look, Taken, TopicSettings, Topics, entry};

/// Why a cache, a metadata store or a queue could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The request itself is wrong; the same request fails again.
    #[error("{0}")]
    Invalid(String),
    /// The backend cannot be used for now; a retry may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// A bound was met; a later retry may succeed.
    #[error("{0}")]
    Overloaded(String),
    /// The deadline passed first; whether the work was done is unknown.
    #[error("{0}")]
    Timeout(String),
}

impl Fault {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Invalid(_))
    }
}

/// What carries commands to the servers of one role. Each failure comes typed; no call is repeated unless a server
/// refused it before it did anything.
pub trait Link {
    /// What keys that may be used together have in common.
    type Group: Copy + Eq + Hash;

    /// The key of a name, under the prefix of the role.
    fn key(&self, name: &str) -> String;

    /// Which keys may be used together: those of the same group, or all where there are no groups.
    fn group(&self, key: &str) -> Option<Self::Group>;

    /// The answer to a command that does not block.
    fn call<T: FromRedisValue>(&self, command: &Cmd) -> impl Future<Output = Result<T, Fault>>;

    /// The answer to a read that may be stale.
    fn read<T: FromRedisValue>(&self, command: &Cmd) -> impl Future<Output = Result<T, Fault>>;

    /// The answer of a script; its keys are of one group.
    fn run<T, K, A>(&self, script: &Script, keys: &[K], args: &[A]) -> impl Future<Output = Result<T, Fault>>
    where
        T: FromRedisValue,
        K: AsRef<[u8]>,
        A: AsRef<[u8]>;
}

impl<L: Link> Link for Arc<L> {
    type Group = L::Group;

    fn key(&self, name: &str) -> String {
        (**self).key(name)
    }

    fn group(&self, key: &str) -> Option<Self::Group> {
        (**self).group(key)
    }

    fn call<T: FromRedisValue>(&self, command: &Cmd) -> impl Future<Output = Result<T, Fault>> {
        (**self).call(command)
    }

    fn read<T: FromRedisValue>(&self, command: &Cmd) -> impl Future<Output = Result<T, Fault>> {
        (**self).read(command)
    }

    fn run<T, K, A>(&self, script: &Script, keys: &[K], args: &[A]) -> impl Future<Output = Result<T, Fault>>
    where
        T: FromRedisValue,
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        (**self).run(script, keys, args)
    }
}

/// Nothing that ends lives longer than this: a hundred years.
const TTL_MAX_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// For how long something lives that was given `ttl_ms`, in milliseconds.
pub fn life_of(ttl_ms: u64) -> Result<u64, Fault> {
    if ttl_ms == 0 {
        return Err(Fault::Invalid("a time to live of 0 is no life".to_owned()));
    }
    Ok(ttl_ms.min(TTL_MAX_MS))
}

/// How urgent an entry of a queue is; a greater one is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Waits for everything else, in turn.
    Low,
    /// The usual.
    Normal,
    /// Before the usual.
    High,
    /// Overtakes everything.
    Urgent,
}

/// A member of a set, alive until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The name of the set.
    pub set: String,
    /// The member.
    pub member: String,
    /// For how long, in milliseconds from now; 0 is invalid.
    pub ttl_ms: u64,
}

/// An entry of a queue, as a consumer receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Grows with every entry of a topic.
    pub id: u64,
    /// The lane it was published in.
    pub priority: Priority,
    /// What was published.
    pub payload: Vec<u8>,
}

/// A change of a cached value that is made only while the value is the one expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The key.
    pub key: String,
    /// The value that the key must have.
    pub expected: Vec<u8>,
    /// What takes its place; none deletes the key.
    pub value: Option<Vec<u8>>,
    /// How long the new value lives, in milliseconds; 0 is invalid.
    pub ttl_ms: u64,
}
