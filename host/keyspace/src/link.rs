//! How commands come to the servers of one role.

use std::hash::Hash;
use std::sync::Arc;

use contract::Fault;
use redis::{Cmd, FromRedisValue};

use crate::script::Script;

/// What carries commands to the servers of one role. Each failure comes typed, that a key holds another kind of value as
/// [`OtherKind`](contract::cache::Refusal::OtherKind); no call is repeated unless a server
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
