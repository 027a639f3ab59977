//! Batching: calls of many callers at the same moment, made as one.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::method::MethodName;

/// `[application.tool.mpim.batch]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSettings {
    /// The batch method of a method: what clients ask for on their sockets at the same moment is made as one call, and so
    /// is what the gateway itself asks of functions for connections that come and go. A method that has one must be safe
    /// to repeat.
    pub methods: BTreeMap<MethodName, MethodName>,
    /// How many calls are made as one; the methods of this project take 100 at most.
    pub calls_max: usize,
    /// How many callers may wait with calls of one such method; one more is `overloaded`.
    pub waiting_max: usize,
    /// How many batches of one method may be under way at once: while these are, others fill.
    pub in_flight_max: usize,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            methods: BTreeMap::new(),
            calls_max: 100,
            waiting_max: 65_536,
            in_flight_max: 4,
        }
    }
}
