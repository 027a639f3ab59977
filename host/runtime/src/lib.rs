//! Everything of Wasmtime: the engine, components and their types, sandboxes, values and their JSON.
//!
//! It runs what it is given and refuses to know what that is for: neither routes nor policies, neither capabilities nor
//! clients. What a sandbox carries for its capabilities is a type of whoever makes it.

mod answer;
mod component;
mod docs;
mod engine;
mod failure;
mod imports;
pub mod json;
mod outcome;
mod pool;
mod sandbox;
mod subcalls;
pub mod values;

pub use answer::{Answer, answer};
pub use component::{Component, Interface, LoadError, Method, unversioned};
pub use docs::Docs;
pub use engine::{Compiled, Engine, compile_all, create_private, hex};
pub use imports::{Given, Import, Imports, Instances, Serve, Signature};
pub use outcome::of_outcome;
pub use pool::{Counts, Lease, Pool, PoolSettings, Sandbox};
pub use sandbox::{Blueprint, State};
pub use wasmtime::component::{Type, Val};
