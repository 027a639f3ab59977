//! Adapter for Spin: the capabilities of the host on what Spin offers.
//!
//! Connections are kept for the life of the instance, which Spin reuses for many requests, some of them at a time. The
//! rules of what is kept in Redis and said to MySQL are those of our own host, so that both can share the servers.
//! What Spin's interfaces lack is met where it can be and said where it cannot: a queue is asked again and again
//! where our host waits for it, a transaction has a connection for itself, and a password is hashed right here.
//!
//! What needs nothing of Spin is compiled for any target, so that its tests run where tests do.
#![cfg(any(target_arch = "wasm32", test))]
#![cfg_attr(
    not(target_arch = "wasm32"),
    expect(dead_code, reason = "used by what needs Spin alone")
)]

mod address;
#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod cache;
#[cfg(target_arch = "wasm32")]
mod errors;
#[cfg(target_arch = "wasm32")]
mod ids;
#[cfg(target_arch = "wasm32")]
mod link;
#[cfg(target_arch = "wasm32")]
mod log;
#[cfg(target_arch = "wasm32")]
mod metadata;
#[cfg(target_arch = "wasm32")]
mod mysql;
#[cfg(target_arch = "wasm32")]
mod passwords;
#[cfg(target_arch = "wasm32")]
mod patience;
mod pool;
#[cfg(target_arch = "wasm32")]
mod push;
#[cfg(target_arch = "wasm32")]
mod queue;
#[cfg(target_arch = "wasm32")]
mod reply;
#[cfg(target_arch = "wasm32")]
mod sql;

/// What this component exports.
#[cfg(target_arch = "wasm32")]
struct Backend;
