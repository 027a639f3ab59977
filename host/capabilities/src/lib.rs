//! What the host gives to components: the interfaces of `mpim:host`, each over its backend.
//!
//! [`Services`] are what all functions of a node share; [`Granted`] is what one function has of its own: its
//! settings, its breakers and buckets, its bounds on logs and metrics. Names and keys of a function are
//! kept apart from those of others, so a component reaches nobody else's cache or leases. No
//! capability knows the gateway: what shall reach clients goes into the queue of their node.

mod bindings;
mod breaker;
mod breakers;
mod cache;
mod config;
mod error;
mod guest;
mod ids;
mod lookups;
mod metadata;
mod meter;
mod password;
mod passwords;
mod peers;
mod push;
mod queue;
mod rate_limit;
mod services;
mod sql;
mod subscriptions;
mod telemetry;
mod verdict;

use runtime::State;
use wasmtime::component::{HasSelf, Linker};

pub use guest::{Granted, Guest};
pub use meter::Meter;
pub use passwords::Passwords;
pub use peers::Peers;
pub use push::publish;
pub use services::{Backends, Services};

/// The interfaces that can be imported, without their versions.
pub const OFFERED: [&str; 12] = [
    "mpim:host/types",
    "mpim:host/sql",
    "mpim:host/cache",
    "mpim:host/metadata",
    "mpim:host/queue",
    "mpim:host/subscriptions",
    "mpim:host/ids",
    "mpim:host/password",
    "mpim:host/telemetry",
    "mpim:host/breaker",
    "mpim:host/rate-limit",
    "mpim:host/config",
];

/// Links every capability. A component gets those that it imports.
pub fn link(linker: &mut Linker<State<Guest>>) -> wasmtime::Result<()> {
    bindings::Capabilities::add_to_linker::<State<Guest>, HasSelf<State<Guest>>>(linker, |state| state)
}

#[cfg(test)]
mod tests;
