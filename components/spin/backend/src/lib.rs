//! Adapter for Spin: the capabilities of the host on what Spin offers.
//!
//! Connections are kept for the life of the instance, which Spin reuses for many requests, some of them at a time. The
//! rules of what is kept in Redis and said to MySQL are those of our own host, so that both can share the servers.
//! What Spin's interfaces lack is met where it can be and said where it cannot: a queue is asked again and again
//! where our host waits for it, a transaction has a connection for itself, and a password is hashed right here.
#![cfg(target_arch = "wasm32")]

mod bindings;
mod cache;
mod errors;
mod ids;
mod link;
mod metadata;
mod mysql;
mod passwords;
mod patience;
mod push;
mod queue;
mod reply;
mod sql;

/// What this component exports.
struct Backend;
