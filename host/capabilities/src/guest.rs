//! What the capabilities see of a sandbox: the services of the node, and what its function has of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use config::{FunctionSettings, Settings};
use policy::{Rate, Rates};
use runtime::State;
use wasmtime::component::{Accessor, HasSelf};

use crate::breakers::Breakers;
use crate::lookups::Lookups;
use crate::meter::Meter;
use crate::services::Services;

/// What one function has of its own.
pub struct Granted {
    /// The name of the function.
    pub function: Arc<str>,
    pub(crate) config: BTreeMap<String, String>,
    /// The space of its keys in the cache.
    pub(crate) cache_space: String,
    pub(crate) lookups: Lookups,
    pub(crate) meter: Meter,
    pub(crate) breakers: Breakers,
    pub(crate) rates: Rates,
}

impl Granted {
    /// What a function has according to the manifest.
    pub fn new(function: Arc<str>, settings: &FunctionSettings, node: &Settings) -> Self {
        let rates = settings.rates.iter().map(|(name, rate)| {
            let rate = Rate {
                per_second: rate.per_second,
                burst: rate.burst,
            };
            (name.clone(), rate)
        });
        Self {
            config: settings
                .config
                .iter()
                .map(|(key, value)| (key.clone(), value.to_string()))
                .collect(),
            meter: Meter::new(function.clone(), node.telemetry.clone()),
            cache_space: settings.cache_space.clone().unwrap_or_else(|| function.to_string()),
            lookups: Lookups::new(&function),
            breakers: Breakers::new(node.breaker.clone()),
            rates: Rates::new(rates.collect(), node.telemetry.rate_keys_max),
            function,
        }
    }
}

/// What the capabilities see of a sandbox.
#[derive(Clone)]
pub struct Guest {
    /// What all functions of the node share.
    pub services: Arc<Services>,
    /// What this function has of its own.
    pub granted: Arc<Granted>,
}

impl Guest {
    /// A key of this function, apart from those of all others.
    pub(crate) fn scoped(&self, key: &str) -> String {
        format!("{}/{key}", self.granted.function)
    }
}

/// What a function's capabilities see, taken out of its sandbox so that nothing is borrowed while waiting.
pub(crate) fn guest<T: 'static>(accessor: &Accessor<T, HasSelf<State<Guest>>>) -> Guest {
    accessor.with(|mut access| access.get().guest.clone())
}

/// The services, and when the call that the sandbox serves must be done.
pub(crate) fn call<T: 'static>(accessor: &Accessor<T, HasSelf<State<Guest>>>) -> (Arc<Services>, Instant) {
    accessor.with(|mut access| {
        let state = access.get();
        (state.guest.services.clone(), state.context.deadline)
    })
}
