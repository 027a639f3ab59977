//! Leases and locks in Redis.
//!
//! A set is a sorted set: the score of a member is the moment, by the clock of the server, at which its lease ends. The
//! key itself ends with its last lease, so that nothing is left behind. A lock is a hash with its owner and number that
//! ends with the lock; the last number outlives it.
//!
//! The clock of the server is the only one that counts. If it steps back by a while, leases and locks live on for that
//! while, and one that ended within it shows again if nothing freed it; fencing numbers still grow. If it steps
//! forward, they end early, and are renewed by who lives.

use std::collections::HashMap;

use crate::join::try_join_all;
use crate::link::Link;
use crate::script::Script;
use contract::metadata::Lease;
use contract::{Fault, life_of};

/// Leases that one script writes, and sets that one script reads: it has the server for itself meanwhile.
const PER_SCRIPT: usize = 500;
/// How long the last number of a lock is known after its end, in milliseconds. A lock that nobody took for longer
/// relies on the clock alone.
const NUMBER_KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// KEYS: the set of each lease; ARGV: the member and the life in milliseconds of each. Gives for each whether it is new.
/// The first write is one that a full server refuses: after any other it would let the rest of the script pass.
const PUT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers = {}
for i, key in ipairs(KEYS) do
    local ends = redis.call('ZSCORE', key, ARGV[2 * i - 1])
    redis.call('ZADD', key, string.format('%.0f', now + ARGV[2 * i]), ARGV[2 * i - 1])
    answers[i] = (not ends or tonumber(ends) <= now) and 1 or 0
end
local seen = {}
for _, key in ipairs(KEYS) do
    if not seen[key] then
        seen[key] = true
        redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
        local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
        redis.call('PEXPIREAT', key, string.format('%.0f', last[2]))
    end
end
return answers
";

/// KEYS: a set; ARGV: a member. Gives whether it was alive.
const REMOVE: &str = r"
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends then
    return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return tonumber(ends) > now and 1 or 0
";

/// KEYS: sets. Gives the live members of each.
const MEMBERS: &str = r"
local time = redis.call('TIME')
local now = string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local answers = {}
for i, key in ipairs(KEYS) do
    answers[i] = redis.call('ZRANGEBYSCORE', key, now, '+inf')
end
return answers
";

/// KEYS: a set. Gives how many members are alive.
const COUNT: &str = r"
local time = redis.call('TIME')
local now = string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return redis.call('ZCOUNT', KEYS[1], now, '+inf')
";

/// KEYS: the lock, its last number; ARGV: the owner, the life of the lock, the life of the number. Gives the number as
/// text, or nothing if another owner has the lock. The clock lets numbers grow over a server that lost everything,
/// the last number over a clock that stepped back.
const LOCK: &str = r"
local held = redis.call('HMGET', KEYS[1], 'owner', 'number')
local number = held[2]
if held[1] then
    if held[1] ~= ARGV[1] then
        return false
    end
else
    local time = redis.call('TIME')
    local next = time[1] * 1000000 + time[2]
    local last = tonumber(redis.call('GET', KEYS[2]) or '0')
    number = string.format('%.0f', math.max(next, last + 1))
    redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'number', number)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], number, 'PX', ARGV[3])
return number
";

/// KEYS: the lock; ARGV: the owner. Gives whether it had it.
const UNLOCK: &str = r"
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
    return 0
end
return redis.call('DEL', KEYS[1])
";

/// Sets of leases, and locks, that all nodes share.
#[derive(Debug)]
pub struct Metadata<L> {
    link: L,
    scripts: Box<Scripts>,
    name_bytes_max: usize,
}

#[derive(Debug)]
struct Scripts {
    put: Script,
    remove: Script,
    members: Script,
    count: Script,
    lock: Script,
    unlock: Script,
}

impl<L: Link> Metadata<L> {
    /// Over a link. A name of a set, a member, a lock or an owner has at most `name_bytes_max` bytes; one more is
    /// `Invalid`.
    pub fn new(link: L, name_bytes_max: usize) -> Self {
        Self {
            link,
            scripts: Box::new(Scripts {
                put: Script::new(PUT),
                remove: Script::new(REMOVE),
                members: Script::new(MEMBERS),
                count: Script::new(COUNT),
                lock: Script::new(LOCK),
                unlock: Script::new(UNLOCK),
            }),
            name_bytes_max,
        }
    }

    /// The way to its servers.
    pub fn link(&self) -> &L {
        &self.link
    }

    /// Adds or renews each lease; for each, whether the member is new. Nothing is written if any of them is invalid. If
    /// the servers fail in the middle, some may be written: to repeat all is safe.
    pub async fn put(&self, leases: Vec<Lease>) -> Result<Vec<bool>, Fault> {
        let mut wanted = Vec::with_capacity(leases.len());
        for lease in &leases {
            self.fits(&lease.set)?;
            self.fits(&lease.member)?;
            wanted.push((self.set(&lease.set), &lease.member, life_of(lease.ttl_ms)?.to_string()));
        }
        let pieces = self.pieces(wanted.iter().map(|(key, ..)| key.as_str()));
        let asked = pieces.iter().map(async |indexes| {
            let mut keys = Vec::with_capacity(indexes.len());
            let mut args = Vec::with_capacity(indexes.len() * 2);
            for (key, member, life_ms) in indexes.iter().filter_map(|index| wanted.get(*index)) {
                keys.push(key.as_str());
                args.extend([member.as_str(), life_ms.as_str()]);
            }
            self.link.run(&self.scripts.put, &keys, &args).await
        });
        Ok(in_order(pieces.iter().flatten(), try_join_all(asked).await?))
    }

    /// Ends a lease; whether it was alive.
    pub async fn remove(&self, set: &str, member: &str) -> Result<bool, Fault> {
        self.link.run(&self.scripts.remove, &[self.set(set)], &[member]).await
    }

    /// The live members of each set in the order asked, members in the order of their bytes.
    pub async fn members(&self, sets: &[String]) -> Result<Vec<Vec<String>>, Fault> {
        let keys = sets.iter().map(|set| self.set(set)).collect::<Vec<_>>();
        let pieces = self.pieces(keys.iter().map(String::as_str));
        let asked = pieces.iter().map(async |indexes| {
            let keys = indexes.iter().filter_map(|index| keys.get(*index)).collect::<Vec<_>>();
            self.link.run(&self.scripts.members, &keys, &[""; 0]).await
        });
        let mut answers: Vec<Vec<String>> = in_order(pieces.iter().flatten(), try_join_all(asked).await?);
        for members in &mut answers {
            members.sort_unstable();
        }
        Ok(answers)
    }

    /// How many members of a set are alive.
    pub async fn count(&self, set: &str) -> Result<u64, Fault> {
        self.link.run(&self.scripts.count, &[self.set(set)], &[""; 0]).await
    }

    /// Takes or renews a lock; its fencing number, or none when another owner has it.
    pub async fn lock(&self, name: &str, owner: &str, ttl_ms: u64) -> Result<Option<u64>, Fault> {
        self.fits(name)?;
        self.fits(owner)?;
        let life_ms = life_of(ttl_ms)?;
        let kept_ms = life_ms.saturating_add(NUMBER_KEPT_MS);
        let args = [owner.to_owned(), life_ms.to_string(), kept_ms.to_string()];
        self.link.run(&self.scripts.lock, &self.lock_keys(name), &args).await
    }

    /// Gives a lock back; whether this owner had it.
    pub async fn unlock(&self, name: &str, owner: &str) -> Result<bool, Fault> {
        let [lock, _] = self.lock_keys(name);
        self.link.run(&self.scripts.unlock, &[lock], &[owner]).await
    }

    /// The indexes of keys that one script may have at once, in pieces of a bounded length.
    fn pieces<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Vec<Vec<usize>> {
        let mut groups = HashMap::new();
        let mut pieces: Vec<Vec<usize>> = Vec::new();
        for (index, key) in keys.enumerate() {
            let group = self.link.group(key);
            let piece = *groups.entry(group).or_insert_with(|| {
                pieces.push(Vec::new());
                pieces.len() - 1
            });
            if let Some(indexes) = pieces.get_mut(piece) {
                indexes.push(index);
                if indexes.len() == PER_SCRIPT {
                    groups.remove(&group);
                }
            }
        }
        pieces
    }

    fn set(&self, name: &str) -> String {
        self.link.key(&format!("set:{name}"))
    }

    /// The keys of a lock and of its last number. What is between the first brace and the next closing one decides
    /// about the node, so it is never empty and never ended by the name itself.
    fn lock_keys(&self, name: &str) -> [String; 2] {
        let name = name.replace('%', "%25").replace('}', "%7D");
        let lock = self.link.key(&format!("lock:{{={name}}}"));
        let number = format!("{lock}:last");
        [lock, number]
    }

    fn fits(&self, name: &str) -> Result<(), Fault> {
        if name.len() > self.name_bytes_max {
            return Err(Fault::Invalid(format!(
                "a name has at most {} bytes",
                self.name_bytes_max
            )));
        }
        Ok(())
    }
}

/// The answers in the order asked, given where each of them belongs.
fn in_order<'a, T>(indexes: impl Iterator<Item = &'a usize>, answers: Vec<Vec<T>>) -> Vec<T> {
    let mut indexed = indexes.zip(answers.into_iter().flatten()).collect::<Vec<_>>();
    indexed.sort_unstable_by_key(|(index, _)| **index);
    indexed.into_iter().map(|(_, answer)| answer).collect()
}
