//! A running node: the only crate that knows how the parts are put together.

mod folder;
mod server;
pub mod storage;
mod timers;

pub use server::{Chosen, Options, RemoteFunctions, Server, migrate_only, services};
