//! Adapter for WASI platforms: HTTP in front of the typed interface of a function.
//!
//! A function's edge is a small component that is written when the function is composed: it knows the function's types
//! and calls it. What is the same for all of them is here: who calls, what may be called, and how answers and errors
//! look. That is what our own host does, equal to the byte, as long as nothing but a function and its identity is
//! concerned: there is no socket here, no limit and no breaker.

mod answer;
mod function;
mod request;
#[cfg(target_arch = "wasm32")]
mod serve;

pub use answer::{Answer, case, failed, json, nothing, refused, unknown, word};
pub use function::{Function, answer};
pub use request::{By, Method, Parts};
#[cfg(target_arch = "wasm32")]
pub use serve::{Body, Request, Response, serve};
pub use wire::request::Caller;

#[cfg(test)]
mod tests;
