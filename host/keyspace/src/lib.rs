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

use contract::Fault;
use redis::{Cmd, FromRedisValue};

pub use self::cache::Cache;
pub use self::gather::gather;
pub use self::metadata::Metadata;
pub use self::script::Script;
pub use self::topics::{Full, Look, Taken, TopicSettings, Topics, entry};

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
