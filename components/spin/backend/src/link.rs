//! The way of one role to its Redis: one connection, kept for the life of the instance and shared by all requests. One of
//! them makes it, while the others wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use contract::Fault;
use contract::cache::Refusal;
use keyspace::Script;
use redis::{Arg, Cmd, FromRedisValue, Value};
use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};
use spin_sdk::variables;

use crate::patience::{pause, within};
use crate::pool::Pool;
use crate::{address, log, reply};

/// How long a call may take, in milliseconds, with the making of a connection.
const PATIENCE_MS: u64 = 3_000;
/// How long whoever waits for a connection lets pass before it looks again, in milliseconds.
const LOOK_EVERY_MS: u64 = 1;

/// The way of one role.
pub(crate) struct Link {
    role: &'static str,
    connection: RefCell<Option<Rc<Connection>>>,
    /// The right to make the connection.
    making: Pool<()>,
    /// Scripts that pack their answers, by their own texts.
    packed: RefCell<HashMap<&'static str, Rc<Packed>>>,
}

struct Packed {
    text: String,
    hash: String,
}

impl Link {
    /// `role` is `cache`, `metadata` or `queue`; the variable `redis_ROLE_url` says where its server is.
    pub(crate) fn new(role: &'static str) -> Self {
        Self {
            role,
            connection: RefCell::default(),
            making: Pool::new(1),
            packed: RefCell::default(),
        }
    }

    /// The connection of all; made by one, for whom the others wait.
    async fn connection(&self) -> Result<Rc<Connection>, Fault> {
        if let Some(connection) = self.made() {
            return Ok(connection);
        }
        let turn = self.making.stand_in_line();
        let turn = turn.ok_or_else(|| self.overloaded("too many wait for a connection"))?;
        let _making = loop {
            match turn.take() {
                Some(making) => break making,
                None => pause(LOOK_EVERY_MS).await,
            }
            if let Some(connection) = self.made() {
                return Ok(connection);
            }
        };
        if let Some(connection) = self.made() {
            return Ok(connection);
        }
        let made = Rc::new(self.make().await?);
        *self.connection.borrow_mut() = Some(Rc::clone(&made));
        Ok(made)
    }

    fn made(&self) -> Option<Rc<Connection>> {
        self.connection.borrow().clone()
    }

    async fn make(&self) -> Result<Connection, Fault> {
        let variable = format!("redis_{}_url", self.role);
        let url = variables::get(&variable)
            .await
            .map_err(|error| self.wrong(&format!("the variable `{variable}` cannot be read: {error}")))?;
        address::redis(&url, &variable).map_err(|reason| self.wrong(&reason))?;
        let scheme = address::scheme_of(&url).to_owned();
        Connection::open(url).await.map_err(|error| match error {
            Error::InvalidAddress => self.wrong(&address::not_permitted(&variable, &scheme)),
            error => self.fault(error),
        })
    }

    /// The answer to a command, in time. A connection that failed is not used again.
    async fn execute(&self, command: &str, arguments: Vec<RedisParameter>) -> Result<Vec<RedisResult>, Fault> {
        let used = RefCell::new(None);
        let asked = async {
            let connection = self.connection().await?;
            *used.borrow_mut() = Some(Rc::clone(&connection));
            let answer = connection.execute(command, arguments).await;
            answer.map_err(|error| {
                let said = is_of_server(&error);
                let fault = self.fault(error);
                if !said {
                    self.forget(&connection);
                }
                fault
            })
        };
        match within(PATIENCE_MS, asked).await {
            Some(answer) => answer,
            None => {
                if let Some(used) = &*used.borrow() {
                    self.forget(used);
                }
                Err(Fault::Timeout(format!("redis of {}: no answer in time", self.role)))
            }
        }
    }

    fn forget(&self, failed: &Rc<Connection>) {
        let mut connection = self.connection.borrow_mut();
        if connection.as_ref().is_some_and(|current| Rc::ptr_eq(current, failed)) {
            *connection = None;
        }
    }

    fn packed(&self, script: &Script) -> Rc<Packed> {
        let mut all = self.packed.borrow_mut();
        let packed = all.entry(script.text()).or_insert_with(|| {
            let text = reply::packed(script.text());
            let hash = redis::Script::new(&text).get_hash().to_owned();
            Rc::new(Packed { text, hash })
        });
        Rc::clone(packed)
    }

    fn read_answer<T: FromRedisValue>(&self, value: Value) -> Result<T, Fault> {
        redis::from_redis_value(value).map_err(|error| self.unavailable(&format!("an answer cannot be read: {error}")))
    }

    fn fault(&self, error: Error) -> Fault {
        match error {
            Error::InvalidAddress => self.unavailable("the address is wrong"),
            Error::TooManyConnections => self.overloaded("too many connections"),
            Error::TypeError => Refusal::OtherKind.into(),
            Error::Other(text) if text.contains("WRONGTYPE") => Refusal::OtherKind.into(),
            Error::Other(text) if text.contains("OOM command not allowed") => self.overloaded("its memory is full"),
            Error::Other(text) => self.unavailable(text.trim_end()),
        }
    }

    /// A variable is not what it must be: nothing helps but another value.
    fn wrong(&self, reason: &str) -> Fault {
        log::once(reason);
        self.unavailable(reason)
    }

    fn overloaded(&self, what: &str) -> Fault {
        Fault::Overloaded(format!("redis of {}: {what}", self.role))
    }

    fn unavailable(&self, what: &str) -> Fault {
        Fault::Unavailable(format!("redis of {}: {what}", self.role))
    }
}

impl keyspace::Link for &Link {
    type Group = u16;

    fn key(&self, name: &str) -> String {
        format!("mpim:{}:{name}", self.role)
    }

    /// Spin speaks to one server.
    fn group(&self, _key: &str) -> Option<u16> {
        None
    }

    async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let mut words = command.args_iter().filter_map(|arg| match arg {
            Arg::Simple(word) => Some(word.to_vec()),
            _ => None,
        });
        let name = String::from_utf8(words.next().unwrap_or_default()).unwrap_or_default();
        let is_list = matches!(name.as_str(), "MGET" | "LRANGE");
        let results = self.execute(&name, words.map(RedisParameter::Binary).collect()).await?;
        self.read_answer(reply::flat(results, is_list))
    }

    async fn read<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        self.call(command).await
    }

    async fn run<T, K, A>(&self, script: &Script, keys: &[K], args: &[A]) -> Result<T, Fault>
    where
        T: FromRedisValue,
        K: AsRef<[u8]>,
        A: AsRef<[u8]>,
    {
        let packed = self.packed(script);
        let words = |first: &str| {
            let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
            let mut words = vec![binary(first.as_bytes()), RedisParameter::Int64(count)];
            words.extend(keys.iter().map(|key| binary(key.as_ref())));
            words.extend(args.iter().map(|arg| binary(arg.as_ref())));
            words
        };
        let results = match self.execute("EVALSHA", words(&packed.hash)).await {
            // A server that was emptied or replaced: nothing was done.
            Err(Fault::Unavailable(text)) if is_missing_script(&text) => {
                self.execute("EVAL", words(&packed.text)).await?
            }
            answer => answer?,
        };
        let value = reply::unpacked(results).ok_or_else(|| self.unavailable("an answer cannot be read"))?;
        self.read_answer(value)
    }
}

fn binary(bytes: &[u8]) -> RedisParameter {
    RedisParameter::Binary(bytes.to_vec())
}

/// Whether it was the server that said so, so that its connection is as good as before. Spin passes the words of its
/// client library on.
fn is_of_server(error: &Error) -> bool {
    matches!(error, Error::Other(text) if text.contains("signalled by the server") || is_missing_script(text))
}

fn is_missing_script(text: &str) -> bool {
    text.contains("NOSCRIPT") || text.contains("NoScript")
}
