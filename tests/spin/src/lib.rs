//! Runs a Spin application for tests where Spin itself cannot be installed.
//!
//! It owns what a component of this project meets on Spin 4.1: the manifest and what of it is refused, variables, the
//! hosts that may be reached, `spin:redis` and `spin:mysql` with their peculiarities, WASI, the life of an instance and
//! HTTP. What Spin does not offer is absent here too, so that a component that asks for it does not start. It refuses
//! to know the application, and anything of Spin that the application has no use for: that is refused by name.

pub mod application;
mod cache;
mod connections;
mod guest;
pub mod hosts;
mod instances;
pub mod manifest;
mod mysql;
mod names;
mod redis;
mod request;
pub mod routes;
pub mod server;
mod template;
pub mod variables;
