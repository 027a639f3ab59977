//! Adapter for Spin: what is of one function alone.
//!
//! A component on our own host has its keys, sets, locks and groups for itself, reads its settings from the manifest and
//! writes its log under its name. Here one instance of this adapter stands before each function that is composed and
//! gives it the same; everything behind it is shared by the functions of one composition.
//!
//! Spin has no circuit breakers, no token buckets and no metrics of ours: a breaker is always closed, nothing is
//! limited, and what would be measured is not. The platform around Spin is where limits belong there.
#![cfg(target_arch = "wasm32")]

mod bindings;
mod cache;
mod metadata;
mod own;
mod queue;
mod scope;
mod settings;
mod telemetry;
