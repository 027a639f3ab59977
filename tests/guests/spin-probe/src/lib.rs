//! A component for Spin that knows nothing of its own: a request is a list of steps, the answer what each step gave.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "generated exports"))]

#[cfg(target_arch = "wasm32")]
mod service;
#[cfg(target_arch = "wasm32")]
mod steps;
