//! What needs nobody else: settings, and what Spin has not.

use crate::bindings::exports::mpim::host::{breaker, config, rate_limit};
use crate::scope::Scope;
use crate::settings;

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
