//! What the capabilities promise, apart from who keeps the promise: the types that cross the border, what each call
//! means at the top of its module, and which failures there are.
//!
//! The same promises are written for guests in `wit/host`. Every backend obeys them, and one suite of tests holds all
//! backends to them. This crate knows no store, no server and no runtime, and compiles to WebAssembly as well.

pub mod cache;
mod fault;
mod life;
pub mod metadata;
pub mod queue;
pub mod sql;

pub use self::fault::Fault;
pub use self::life::life_of;
