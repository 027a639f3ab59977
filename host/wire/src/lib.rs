//! What crosses the wire between clients, edges and nodes, the same on every host: JSON of WIT values, errors, what an
//! HTTP request says, and what goes into the queue of a gateway.
//!
//! It knows no socket and no runtime, and compiles to WebAssembly as well.

pub mod error;
pub mod json;
pub mod push;
pub mod request;

pub use serde_json::{Value, from_slice as parse};
