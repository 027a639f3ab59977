//! The steps that a request may have, and what each gives: a text as Rust shows it.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;
use spin_sdk::mysql::{self, ParameterValue, QueryResult};
use spin_sdk::redis::{self, RedisParameter};
use spin_sdk::variables;

/// Requests that this instance has begun.
static BEGUN: AtomicU32 = AtomicU32::new(0);
/// Requests that this instance has not ended.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// One step. Connections are numbered in the order in which they are opened, each kind for itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    Variable(String),
    OpenRedis(String),
    OpenMysql(String),
    CloseRedis(usize),
    CloseMysql(usize),
    Get(usize, String),
    Sadd(usize, String, Vec<String>),
    /// A command and its words.
    Redis(usize, String, Vec<Value>),
    /// A statement and its parameters.
    Execute(usize, String, Vec<Value>),
    Query(usize, String, Vec<Value>),
    /// A query whose rows are dropped unread.
    QueryUnread(usize, String, Vec<Value>),
    /// Steps at the same time, each with the connections that are open before.
    AtOnce(Vec<Step>),
    /// Requests that this instance has begun, and how many of them have not ended.
    Count,
    /// A request to another server.
    Fetch(String),
    /// A header of the request.
    Header(String),
    /// An environment variable.
    Environment(String),
    /// The end of the instance.
    Trap,
}

/// A request that this instance works on.
#[derive(Debug)]
pub(crate) struct Running;

impl Running {
    pub(crate) fn begin() -> Self {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        RUNNING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections that a request has open.
#[derive(Default)]
pub(crate) struct Connections {
    redis: Vec<Option<redis::Connection>>,
    mysql: Vec<Option<mysql::Connection>>,
}

impl Connections {
    pub(crate) async fn run(&mut self, step: Step, headers: &http::HeaderMap) -> String {
        match step {
            Step::OpenRedis(address) => match redis::Connection::open(address).await {
                Ok(connection) => {
                    self.redis.push(Some(connection));
                    "opened".to_owned()
                }
                Err(error) => format!("{error:?}"),
            },
            Step::OpenMysql(address) => match mysql::Connection::open(address).await {
                Ok(connection) => {
                    self.mysql.push(Some(connection));
                    "opened".to_owned()
                }
                Err(error) => format!("{error:?}"),
            },
            Step::CloseRedis(number) => closed(self.redis.get_mut(number)),
            Step::CloseMysql(number) => closed(self.mysql.get_mut(number)),
            Step::Header(name) => format!("{:?}", headers.get(name)),
            Step::AtOnce(steps) => join_all(steps.into_iter().map(|step| self.use_open(step)))
                .await
                .join("\n"),
            step => self.use_open(step).await,
        }
    }

    async fn use_open(&self, step: Step) -> String {
        let used = match step {
            Step::Variable(name) => Some(shown(&variables::get(name).await)),
            Step::Get(number, key) => self.get(number, key).await,
            Step::Sadd(number, key, values) => self.sadd(number, key, &values).await,
            Step::Redis(number, command, words) => self.command(number, command, &words).await,
            Step::Execute(number, statement, parameters) => self.execute(number, statement, &parameters).await,
            Step::Query(number, statement, parameters) => self.query(number, statement, &parameters).await,
            Step::QueryUnread(number, statement, parameters) => self.unread(number, statement, &parameters).await,
            Step::Count => Some(format!(
                "{} {}",
                BEGUN.load(Ordering::Relaxed),
                RUNNING.load(Ordering::Relaxed)
            )),
            Step::Fetch(address) => Some(match spin_sdk::http::get(address).await {
                Ok(response) => format!("{}", response.status()),
                Err(error) => format!("{error:?}"),
            }),
            Step::Environment(name) => Some(format!("{:?}", std::env::var(name))),
            Step::Trap => std::process::abort(),
            other => Some(format!("{other:?} goes only by itself")),
        };
        used.unwrap_or_else(|| "no such connection".to_owned())
    }

    async fn get(&self, number: usize, key: String) -> Option<String> {
        Some(shown(&self.redis(number)?.get(key).await))
    }

    async fn sadd(&self, number: usize, key: String, values: &[String]) -> Option<String> {
        Some(shown(&self.redis(number)?.sadd(key, values).await))
    }

    async fn command(&self, number: usize, command: String, words: &[Value]) -> Option<String> {
        let words: Vec<RedisParameter> = words
            .iter()
            .map(|word| match word {
                Value::Number(number) => RedisParameter::Int64(number.as_i64().unwrap_or_default()),
                word => RedisParameter::Binary(word.as_str().unwrap_or_default().as_bytes().to_vec()),
            })
            .collect();
        Some(shown(&self.redis(number)?.execute(command, words).await))
    }

    async fn execute(&self, number: usize, statement: String, parameters: &[Value]) -> Option<String> {
        Some(shown(&self.mysql(number)?.execute(statement, bound(parameters)).await))
    }

    async fn query(&self, number: usize, statement: String, parameters: &[Value]) -> Option<String> {
        Some(match self.mysql(number)?.query(statement, bound(parameters)).await {
            Ok(result) => rows(result).await,
            Err(error) => format!("no query: {error:?}"),
        })
    }

    async fn unread(&self, number: usize, statement: String, parameters: &[Value]) -> Option<String> {
        Some(match self.mysql(number)?.query(statement, bound(parameters)).await {
            Ok(_) => "unread".to_owned(),
            Err(error) => format!("no query: {error:?}"),
        })
    }

    fn redis(&self, number: usize) -> Option<&redis::Connection> {
        self.redis.get(number)?.as_ref()
    }

    fn mysql(&self, number: usize) -> Option<&mysql::Connection> {
        self.mysql.get(number)?.as_ref()
    }
}

fn closed<C>(connection: Option<&mut Option<C>>) -> String {
    match connection.and_then(Option::take) {
        Some(_) => "closed".to_owned(),
        None => "no such connection".to_owned(),
    }
}

/// The columns, the rows, and what went wrong on the way.
async fn rows(mut result: QueryResult) -> String {
    let columns: Vec<String> = result
        .columns()
        .iter()
        .map(|column| format!("{} {:?}", column.name, column.data_type))
        .collect();
    let mut lines = vec![columns.join(", ")];
    while let Some(row) = result.rows().next().await {
        lines.push(format!("{row:?}"));
    }
    if let Err(error) = result.result().await {
        lines.push(format!("{error:?}"));
    }
    lines.join("\n")
}

fn bound(parameters: &[Value]) -> Vec<ParameterValue> {
    let parameters = parameters.iter().map(|parameter| match parameter {
        Value::Null => ParameterValue::DbNull,
        Value::Bool(truth) => ParameterValue::Boolean(*truth),
        Value::String(text) => ParameterValue::Str(text.clone()),
        Value::Number(number) if number.is_f64() => ParameterValue::Floating64(number.as_f64().unwrap_or_default()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => ParameterValue::Int64(number),
            None => ParameterValue::Uint64(number.as_u64().unwrap_or_default()),
        },
        other => ParameterValue::Binary(other.to_string().into_bytes()),
    });
    parameters.collect()
}

fn shown<T: std::fmt::Debug, E: std::fmt::Debug>(result: &Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error:?}"),
    }
}
