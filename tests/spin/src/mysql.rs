//! `spin:mysql/mysql@3.0.0`: one connection for each `open`, which no other handle shares, and every statement
//! prepared. It refuses to know what the statements mean.

mod rows;
mod value;

use std::sync::Arc;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts, OptsBuilder, Params, Pool};
use tokio::sync::Mutex;
use url::Url;
use wasmtime::component::{
    Accessor, ComponentType, FutureReader, Lift, LinkerInstance, Lower, Resource, ResourceType, StreamReader,
};

use crate::connections::Connections;
use crate::guest::Guest;
use value::{Column, Parameter, Value};

/// A connection. A call on it waits for the call before, and a call after a query for the end of its rows.
type Shared = Arc<Mutex<Conn>>;

/// The connections of an instance. As on Spin it is locked while one is opened, so that the other calls of the
/// instance wait for that too.
pub(crate) type Open = Arc<Mutex<Connections<Shared>>>;

/// What a handle in the component stands for; the connection itself is among [`Open`].
struct Handle;

/// `error`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
enum Failure {
    #[component(name = "connection-failed")]
    ConnectionFailed(String),
    #[component(name = "bad-parameter")]
    BadParameter(String),
    #[component(name = "query-failed")]
    QueryFailed(String),
    #[component(name = "value-conversion-failed")]
    ValueConversionFailed(String),
    #[component(name = "other")]
    Other(String),
}

type Statement = (Resource<Handle>, String, Vec<Parameter>);
type Row = Vec<Value>;
type Rows = (Vec<Column>, StreamReader<Row>, FutureReader<Result<(), Failure>>);

/// All functions of the interface.
pub(crate) fn link(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.resource_async("connection", ResourceType::host::<Handle>(), |store, number| {
        let open = Arc::clone(&store.data().mysql);
        Box::new(async move {
            open.lock().await.close(number);
            Ok(())
        })
    })?;
    instance.func_wrap_concurrent("[static]connection.open", |guest, (address,): (String,)| {
        Box::pin(async move { Ok((open(guest, &address).await,)) })
    })?;
    instance.func_wrap_concurrent(
        "[method]connection.execute",
        |guest, (handle, statement, parameters): Statement| {
            Box::pin(async move { Ok((execute(guest, handle, statement, parameters).await,)) })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.query",
        |guest, (handle, statement, parameters): Statement| {
            Box::pin(async move { Ok((query(guest, handle, statement, parameters).await,)) })
        },
    )
}

/// A new connection, whatever is open already.
async fn open(guest: &Accessor<Guest>, address: &str) -> Result<Resource<Handle>, Failure> {
    let (permits, open) = guest.with(|mut guest| {
        let guest = guest.get();
        (Arc::clone(&guest.permits), Arc::clone(&guest.mysql))
    });
    let mut open = open.lock().await;
    if !permits.allow(address, "mysql").map_err(Failure::Other)? {
        return Err(Failure::ConnectionFailed(format!("address {address} is not permitted")));
    }
    let connection = connect(address).await.map_err(Failure::ConnectionFailed)?;
    let number = open.keep(Arc::new(Mutex::new(connection)));
    let too_many = || Failure::ConnectionFailed("too many connections".to_owned());
    number.map(Resource::new_own).ok_or_else(too_many)
}

/// The one connection of a pool of its own: the pool ends with it, resets and closes it when its handle is gone, and
/// the server then rolls back what was not committed.
///
/// As on Spin `ssl-mode` alone decides about TLS, whatever else the address says of it. There is none here: an address
/// that asks for it is refused.
async fn connect(address: &str) -> Result<Conn, String> {
    let (address, with_tls) = split_tls(address).map_err(|error| told(error.into()))?;
    if with_tls {
        return Err("this stand-in has no TLS".to_owned());
    }
    let options = Opts::from_url(address.as_str()).map_err(|error| told(error.into()))?;
    let options = OptsBuilder::from_opts(options).ssl_opts(None);
    Pool::new(options).get_conn().await.map_err(told)
}

fn told(error: mysql_async::Error) -> String {
    format!("{:?}", anyhow::Error::from(error))
}

/// An address without what it says of TLS in the way that Spin reads, and whether it asks for it.
fn split_tls(address: &str) -> Result<(Url, bool), mysql_async::UrlError> {
    let mut address = Url::parse(address)?;
    let is_mode = |name: &str| ["ssl-mode", "sslmode"].contains(&name.to_lowercase().as_str());
    let with_tls = address
        .query_pairs()
        .any(|(name, value)| is_mode(&name) && value.to_lowercase() != "disabled");
    let kept: Vec<(String, String)> = address
        .query_pairs()
        .filter(|(name, _)| !is_mode(name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    address.set_query(None);
    if !kept.is_empty() {
        address.query_pairs_mut().extend_pairs(kept);
    }
    Ok((address, with_tls))
}

/// A statement without rows. How many rows it has touched is not told.
async fn execute(
    guest: &Accessor<Guest>,
    handle: Resource<Handle>,
    statement: String,
    parameters: Vec<Parameter>,
) -> Result<(), Failure> {
    let connection = find(guest, &handle).await?;
    let mut connection = connection.lock().await;
    let failed = |error| Failure::QueryFailed(format!("{error:?}"));
    let result = connection
        .exec_iter(statement, bind(parameters))
        .await
        .map_err(failed)?;
    result.drop_result().await.map_err(failed)
}

/// A statement with rows, which come while they are read.
async fn query(
    guest: &Accessor<Guest>,
    handle: Resource<Handle>,
    statement: String,
    parameters: Vec<Parameter>,
) -> Result<Rows, Failure> {
    let connection = find(guest, &handle).await?;
    let result = rows::read(connection, statement, bind(parameters)).await?;
    guest
        .with(|mut store| {
            let rows = StreamReader::new(&mut store, result.rows)?;
            let end = FutureReader::new(&mut store, result.end)?;
            wasmtime::Result::Ok((result.columns, rows, end))
        })
        .map_err(|error: wasmtime::Error| Failure::Other(error.to_string()))
}

fn bind(parameters: Vec<Parameter>) -> Params {
    Params::Positional(parameters.into_iter().map(mysql_async::Value::from).collect())
}

async fn find(guest: &Accessor<Guest>, handle: &Resource<Handle>) -> Result<Shared, Failure> {
    let open = guest.with(|mut guest| Arc::clone(&guest.get().mysql));
    let open = open.lock().await;
    let missing = || Failure::ConnectionFailed("no connection found".to_owned());
    open.find(handle.rep()).cloned().ok_or_else(missing)
}
