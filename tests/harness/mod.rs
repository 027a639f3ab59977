//! A real node in a process of its own, and clients over real sockets.
//!
//! A node is the `mpim` binary that was built with the tests, on a free port, with its data in a
//! folder that is removed in the end. It is stopped by its process id. Waits end with a signal from
//! the other side or with a clear panic after [`PATIENCE`]; nothing sleeps.

pub mod accounts;
pub mod audit;
pub mod client;
pub mod dice;
pub mod http;
pub mod manifest;
pub mod node;
pub mod platform;
pub mod raw;
pub mod remote;

use std::time::Duration;

pub use client::{Client, RpcError};
pub use manifest::Manifest;
pub use node::Node;
pub use raw::Raw;

/// Longer than anything here takes, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A wait that ends.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: nothing happened within {PATIENCE:?}"),
    }
}
