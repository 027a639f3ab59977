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
mod queue;
mod settings;
mod telemetry;

use bindings::exports::mpim::host::{breaker, config, rate_limit};

/// What this component exports.
struct Scope;

impl config::Guest for Scope {
    fn value(key: String) -> Option<String> {
        settings::get().config.get(&key).cloned()
    }
}

impl breaker::Guest for Scope {
    fn allow(_name: String) -> bool {
        true
    }

    fn report(_name: String, _success: bool) {}
}

impl rate_limit::Guest for Scope {
    fn acquire(_name: String, _key: String, _permits: u32) -> Result<(), u64> {
        Ok(())
    }
}
