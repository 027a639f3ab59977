//! Rust that is written from WIT, next to what `wit-bindgen` writes: implementations of `wire::json::Json` for its
//! types, and the calls of an edge.
//!
//! It knows how `wit-bindgen` names things, and nothing of what they are for.

mod calls;
mod json;
mod names;

pub use calls::{Edge, Method, methods};
pub use json::implementations;
pub use names::Bindings;
