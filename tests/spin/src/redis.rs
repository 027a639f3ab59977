//! `spin:redis/redis@3.0.0`: one connection of TCP for each `open`, shared by all calls on it. It refuses to know what
//! the commands mean.

mod answer;
mod failure;

use std::sync::Arc;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue};
use wasmtime::component::{Accessor, ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceType};

use crate::connections::Connections;
use crate::guest::Guest;
use answer::Answer;
use failure::Failure;

/// The connections of an instance.
pub(crate) type Open = Connections<MultiplexedConnection>;

/// What a handle in the component stands for; the connection itself is among [`Open`].
struct Handle;

/// `redis-parameter`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Parameter {
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "binary")]
    Binary(Vec<u8>),
}

type Payload = Vec<u8>;
type Answered<T> = wasmtime::Result<(Result<T, Failure>,)>;

/// All functions of the interface.
pub(crate) fn link(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.resource("connection", ResourceType::host::<Handle>(), |mut store, number| {
        store.data_mut().redis.close(number);
        Ok(())
    })?;
    instance.func_wrap_concurrent("[static]connection.open", |guest, (address,): (String,)| {
        Box::pin(async move { Ok((open(guest, &address).await,)) })
    })?;
    link_named(instance)?;
    instance.func_wrap_concurrent(
        "[method]connection.execute",
        |guest, (handle, command, parameters): (Resource<Handle>, String, Vec<Parameter>)| {
            Box::pin(async move {
                let mut words = redis::cmd(&command);
                for parameter in parameters {
                    match parameter {
                        Parameter::Int64(number) => words.arg(number),
                        Parameter::Binary(bytes) => words.arg(bytes),
                    };
                }
                execute(guest, handle, words).await
            })
        },
    )
}

/// The functions that have a command of their own.
fn link_named(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Call<A> = (Resource<Handle>, String, A);
    instance.func_wrap_concurrent(
        "[method]connection.publish",
        |guest, (handle, channel, payload): Call<Payload>| {
            Box::pin(ask::<()>(guest, handle, Cmd::publish(channel, payload)))
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.get",
        |guest, (handle, key): (Resource<Handle>, String)| Box::pin(get(guest, handle, key)),
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.set",
        |guest, (handle, key, value): Call<Payload>| Box::pin(ask::<()>(guest, handle, Cmd::set(key, value))),
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.incr",
        |guest, (handle, key): (Resource<Handle>, String)| Box::pin(ask::<i64>(guest, handle, Cmd::incr(key, 1))),
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.del",
        |guest, (handle, keys): (Resource<Handle>, Vec<String>)| Box::pin(ask::<u32>(guest, handle, Cmd::del(keys))),
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.sadd",
        |guest, (handle, key, values): Call<Vec<String>>| {
            Box::pin(async move {
                let (added,): (Result<u32, Failure>,) = ask(guest, handle, Cmd::sadd(key, values)).await?;
                Ok((added.map_err(Failure::of_sadd),))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.smembers",
        |guest, (handle, key): (Resource<Handle>, String)| {
            Box::pin(ask::<Vec<String>>(guest, handle, Cmd::smembers(key)))
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.srem",
        |guest, (handle, key, values): Call<Vec<String>>| Box::pin(ask::<u32>(guest, handle, Cmd::srem(key, values))),
    )
}

/// A new connection, whatever is open already.
async fn open(guest: &Accessor<Guest>, address: &str) -> Result<Resource<Handle>, Failure> {
    let permits = guest.with(|mut guest| Arc::clone(&guest.get().permits));
    if !permits.allow(address, "redis").map_err(Failure::Other)? {
        return Err(Failure::InvalidAddress);
    }
    if address.starts_with("rediss:") {
        // As on Spin it is a good address; only there it leads somewhere.
        return Err(Failure::Other("this stand-in has no TLS".to_owned()));
    }
    let client = redis::Client::open(address).map_err(|_| Failure::InvalidAddress)?;
    // Spin waits as long as it takes.
    let patience = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&patience).await?;
    let number = guest.with(|mut guest| guest.get().redis.keep(connection));
    number.map(Resource::new_own).ok_or(Failure::TooManyConnections)
}

/// One command and its answer, as the type that it must be of.
async fn ask<T: FromRedisValue>(guest: &Accessor<Guest>, handle: Resource<Handle>, command: Cmd) -> Answered<T> {
    let answer = async {
        let mut connection = find(guest, &handle)?;
        Ok(command.query_async(&mut connection).await?)
    };
    Ok((answer.await,))
}

async fn get(guest: &Accessor<Guest>, handle: Resource<Handle>, key: String) -> Answered<Option<Payload>> {
    let (value,) = ask::<Option<Payload>>(guest, handle, Cmd::get(key)).await?;
    let bounded = value.and_then(|value| {
        answer::bound(size_of::<Option<Payload>>() + value.as_ref().map_or(0, Vec::len))?;
        Ok(value)
    });
    Ok((bounded,))
}

/// Any command, its answer in pieces.
async fn execute(guest: &Accessor<Guest>, handle: Resource<Handle>, command: Cmd) -> Answered<Vec<Answer>> {
    let answer = async {
        let mut connection = find(guest, &handle)?;
        let value = connection.req_packed_command(&command).await?;
        answer::flatten(value.extract_error()?)
    };
    Ok((answer.await,))
}

fn find(guest: &Accessor<Guest>, handle: &Resource<Handle>) -> Result<MultiplexedConnection, Failure> {
    let connection = guest.with(|mut guest| guest.get().redis.find(handle.rep()).cloned());
    connection.ok_or_else(|| Failure::Other("could not find connection for resource".to_owned()))
}
