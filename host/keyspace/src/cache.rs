//! The cache in Redis: one key an entry, freed by the server when its time is over.
//!
//! One round trip a call. A counter is decimal text like any other value, so that it can be read; a list is a list of
//! Redis. What a server under pressure throws out, or loses with a restart, was allowed to vanish. What is promised is in
//! [`contract::cache`].

use redis::Cmd;

use crate::join::try_join_all;
use crate::link::Link;
use crate::script::Script;
use contract::cache::{Bounds, End, Exchange, Refusal, negative};
use contract::{Fault, life_of};

/// Keys that one command asks for.
const KEYS_PER_COMMAND: usize = 1_000;

/// Adds, and gives the sum as text: a number of this language has no 64 bits. The time to live is set by who comes
/// first; the clock stands still in here.
const INCREMENT: &str = r"
local sum = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(sum) == 'table' then
    if string.find(sum.err, 'would overflow') then
        return 'overflow'
    elseif string.find(sum.err, 'not an integer') then
        return 'no counter'
    elseif string.find(sum.err, 'WRONGTYPE') then
        return 'other kind'
    end
    return sum
end
if redis.call('PTTL', KEYS[1]) < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1])
";

/// Replaces or deletes a value that is still the expected one.
const EXCHANGE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
if ARGV[2] == 'keep' then
    redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
else
    redis.call('DEL', KEYS[1])
end
return 1
";

/// KEYS: a list; ARGV: the command, the life in milliseconds, the greatest length, the values. Gives the length as text.
/// The first push is one that a full server refuses: after it the rest of the script passes.
const PUSH: &str = r"
local length = redis.pcall('LLEN', KEYS[1])
if type(length) == 'table' then
    if string.find(length.err, 'WRONGTYPE') then
        return 'other kind'
    end
    return length
end
if length + #ARGV - 3 > tonumber(ARGV[3]) then
    return 'full'
end
for at = 4, #ARGV do
    length = redis.call(ARGV[1], KEYS[1], ARGV[at])
end
if redis.call('PTTL', KEYS[1]) < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return tostring(length)
";

/// A cache that all nodes share.
#[derive(Debug)]
pub struct Cache<L> {
    link: L,
    increment: Script,
    exchange: Script,
    push: Script,
    bounds: Bounds,
}

impl<L: Link> Cache<L> {
    /// Over a link.
    pub fn new(link: L, bounds: Bounds) -> Self {
        Self {
            link,
            increment: Script::new(INCREMENT),
            exchange: Script::new(EXCHANGE),
            push: Script::new(PUSH),
            bounds,
        }
    }

    /// The way to its servers.
    pub fn link(&self) -> &L {
        &self.link
    }

    /// The value of a key, where it is there and alive. May come from a replica that is a little behind.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.link.read(Cmd::new().arg("GET").arg(self.link.key(key))).await
    }

    /// One answer a key, in the order asked. May come from replicas that are a little behind.
    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let asked = keys.chunks(KEYS_PER_COMMAND).map(async |keys| {
            let mut mget = redis::cmd("MGET");
            for key in keys {
                mget.arg(self.link.key(key));
            }
            let values: Vec<Option<Vec<u8>>> = self.link.read(&mget).await?;
            Ok(values)
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }

    /// One answer a key, in the order asked, never from a replica: a key that was deleted is gone here.
    pub async fn current(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let asked = keys.chunks(KEYS_PER_COMMAND).map(async |keys| {
            let mut mget = redis::cmd("MGET");
            for key in keys {
                mget.arg(self.link.key(key));
            }
            let values: Vec<Option<Vec<u8>>> = self.link.call(&mget).await?;
            Ok(values)
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }

    /// Deletes keys, each of which may be absent.
    pub async fn delete_many(&self, keys: &[String]) -> Result<(), Fault> {
        try_join_all(keys.iter().map(|key| self.delete(key))).await.map(|_| ())
    }

    /// Sets each key that is absent; for each, what was there and stays.
    pub async fn claim(&self, entries: Vec<(String, Vec<u8>)>, ttl_ms: u64) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let life_ms = life_of(ttl_ms)?;
        let asked = entries.into_iter().map(async |(key, value)| {
            self.bounds.fits(&key, value.len())?;
            let mut set = redis::cmd("SET");
            set.arg(self.link.key(&key)).arg(value);
            self.link.call(set.arg("NX").arg("GET").arg("PX").arg(life_ms)).await
        });
        try_join_all(asked).await
    }

    /// Makes each exchange whose key has the expected value; for each, whether it was made.
    pub async fn exchange(&self, exchanges: Vec<Exchange>) -> Result<Vec<bool>, Fault> {
        try_join_all(exchanges.into_iter().map(|exchange| self.exchange_one(exchange))).await
    }

    async fn exchange_one(&self, exchange: Exchange) -> Result<bool, Fault> {
        let life_ms = life_of(exchange.ttl_ms)?;
        let bytes = exchange.value.as_ref().map_or(0, Vec::len);
        self.bounds.fits(&exchange.key, bytes)?;
        let what: &[u8] = if exchange.value.is_some() { b"keep" } else { b"delete" };
        let args = [
            exchange.expected,
            what.to_vec(),
            exchange.value.unwrap_or_default(),
            life_ms.to_string().into_bytes(),
        ];
        let made: u8 = self
            .link
            .run(&self.exchange, &[self.link.key(&exchange.key)], &args)
            .await?;
        Ok(made > 0)
    }

    /// Sets or replaces a value for `ttl_ms` milliseconds.
    pub async fn set(&self, key: &str, value: &[u8], ttl_ms: u64) -> Result<(), Fault> {
        let life_ms = life_of(ttl_ms)?;
        self.bounds.fits(key, value.len())?;
        let mut set = redis::cmd("SET");
        set.arg(self.link.key(key)).arg(value).arg("PX").arg(life_ms);
        self.link.call(&set).await
    }

    /// Deletes a key, which may be absent.
    pub async fn delete(&self, key: &str) -> Result<(), Fault> {
        let _deleted: u64 = self.link.call(Cmd::new().arg("DEL").arg(self.link.key(key))).await?;
        Ok(())
    }

    /// Adds to a counter, at once for all callers of all nodes, and gives its new value.
    pub async fn increment(&self, key: &str, by: i64, ttl_ms: u64) -> Result<i64, Fault> {
        let life_ms = life_of(ttl_ms)?;
        self.bounds.fits(key, 0)?;
        let args = [by.to_string(), life_ms.to_string()];
        let sum: String = self.link.run(&self.increment, &[self.link.key(key)], &args).await?;
        sum.parse().map_err(|_| {
            let refusal = match sum.as_str() {
                "overflow" => Refusal::Overflow,
                "other kind" => Refusal::OtherKind,
                _ => Refusal::NoCounter,
            };
            refusal.into()
        })
    }

    /// Takes from a counter; otherwise as [`Self::increment`].
    pub async fn decrement(&self, key: &str, by: i64, ttl_ms: u64) -> Result<i64, Fault> {
        self.increment(key, negative(by)?, ttl_ms).await
    }

    /// Whether a key holds anything. May come from a replica that is a little behind.
    pub async fn exists(&self, key: &str) -> Result<bool, Fault> {
        let found: u64 = self.link.read(Cmd::new().arg("EXISTS").arg(self.link.key(key))).await?;
        Ok(found > 0)
    }

    /// Pushes values to one end of a list, all or none, and gives the new length.
    pub async fn push(&self, end: End, key: &str, values: Vec<Vec<u8>>, ttl_ms: u64) -> Result<u64, Fault> {
        let life_ms = life_of(ttl_ms)?;
        self.bounds.fits_push(key, &values)?;
        self.bounds.fits_list(values.len())?;
        let command = match end {
            End::Left => "LPUSH",
            End::Right => "RPUSH",
        };
        let bounds = [life_ms.to_string(), self.bounds.list_length_max.to_string()];
        let mut args = vec![command.as_bytes().to_vec()];
        args.extend(bounds.into_iter().map(String::into_bytes));
        args.extend(values);
        let length: String = self.link.run(&self.push, &[self.link.key(key)], &args).await?;
        length.parse().map_err(|_| {
            let refusal = match length.as_str() {
                "full" => Refusal::ListFull(self.bounds.list_length_max),
                _ => Refusal::OtherKind,
            };
            refusal.into()
        })
    }

    /// The values of a list from one index to another, both included. May come from a replica that is a little behind.
    pub async fn range(&self, key: &str, start: i64, stop: i64) -> Result<Vec<Vec<u8>>, Fault> {
        let mut lrange = redis::cmd("LRANGE");
        lrange.arg(self.link.key(key)).arg(start).arg(stop);
        self.link.read(&lrange).await
    }
}
