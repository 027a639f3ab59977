//! mpim: an instant-messaging backend whose every capability is a WebAssembly component.
//!
//! This crate is the host. It owns sockets, storage, limits and measures, and runs the functions that a
//! manifest names; it knows nothing of instant messaging but the few lifecycle calls of its gateway.
//!
//! Who may know whom, checked by a test:
//!
//! ```text
//! server → timers → cluster → gateway, admin, openapi → dispatch → deployments, sandboxes → engine, store
//!                                    dispatch → capabilities → breakers, backends
//!                             gateway → remote → breakers
//! config, telemetry, fault, identity, json, nested, places, values: leaves that anyone may use
//! ```
//!
//! - `json` is the only module that turns WIT types into JSON and back.
//! - `backends`, a crate of its own, knows nothing of this one; `gateway` never names a kind of backend.
//! - `capabilities` never names the gateway: what is for clients goes into the queue of their node.

pub mod admin;
pub mod breakers;
pub mod capabilities;
pub mod cluster;
pub mod config;
pub mod deployments;
pub mod dispatch;
pub mod docs;
pub mod engine;
pub mod fault;
pub mod gateway;
pub mod identity;
pub mod json;
pub mod manifest;
pub mod nested;
pub mod openapi;
pub mod places;
pub mod remote;
pub mod sandboxes;
pub mod server;
pub mod storage;
pub mod store;
pub mod telemetry;
pub mod timers;
pub mod values;
