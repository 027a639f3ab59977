//! Breakers that components name themselves, a bounded number for each function.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use config::{BreakerSettings, ms};
use policy::Breaker;

use crate::verdict::now;

/// The breakers of one function by name.
#[derive(Debug)]
pub(crate) struct Breakers {
    settings: BreakerSettings,
    named: Mutex<HashMap<String, Arc<Breaker>>>,
}

impl Breakers {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            named: Mutex::default(),
        }
    }

    /// Names beyond the bound are never held back: a breaker that is not there cannot open.
    pub(crate) fn allow(&self, name: &str) -> bool {
        self.named(name).is_none_or(|breaker| breaker.allow(now()))
    }

    pub(crate) fn report(&self, name: &str, success: bool) {
        if let Some(breaker) = self.named(name) {
            breaker.report(success, now());
        }
    }

    fn named(&self, name: &str) -> Option<Arc<Breaker>> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = named.get(name) {
            return Some(breaker.clone());
        }
        if named.len() >= self.settings.names_max {
            return None;
        }
        let breaker = Arc::new(Breaker::new(self.settings.failures, ms(self.settings.open_ms)));
        named.insert(name.to_owned(), breaker.clone());
        Some(breaker)
    }
}
