//! The edge: sockets of clients, and HTTP.
//!
//! It turns frames into invokes and pushes into frames, and owns every live connection of the node. It
//! knows functions by the names that clients give and by the few hooks of connections that the manifest
//! names; it never names a backend, nor where a function runs.

mod error;
mod gateway;
mod hooks;
mod http;
mod outbox;
mod registry;
mod reports;
mod rpc;
mod serve;
mod socket;
mod sockets;

pub use gateway::{Drain, Gateway};
pub use http::serve;
