//! The table of routes: function → release → endpoint. It is made whole and never changed; another takes its place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use capabilities::Guest;
use config::MethodName;
use runtime::{Component, Counts, Pool};

use crate::endpoint::{Endpoint, Kind};
use crate::remote::is_name;
use crate::route::Route;
use crate::target::Target;

/// A function as this node runs it.
pub struct Function {
    /// Its name in the manifest.
    pub name: Arc<str>,
    /// The release that serves it.
    pub component: Component,
    /// Its methods, in the order of the component.
    pub routes: Vec<Arc<Route>>,
    pub(crate) endpoint: Arc<Endpoint>,
}

impl Function {
    /// Its sandboxes, where it runs here.
    pub fn pool(&self) -> Option<&Pool<Guest>> {
        match &self.endpoint.kind {
            Kind::Local(local) => Some(&local.pool),
            Kind::Remote(_) => None,
        }
    }

    /// How many sandboxes it has, and the most that there may be.
    pub fn sandboxes(&self) -> (Counts, u32) {
        match &self.endpoint.kind {
            Kind::Local(local) => (local.pool.counts(), local.sandboxes_max),
            Kind::Remote(_) => (Counts { warm: 0, busy: 0 }, 0),
        }
    }
}

/// Where every method of every function is invoked.
#[derive(Default)]
pub struct Table {
    /// The functions that run on this node, by name.
    pub(crate) functions: BTreeMap<String, Arc<Function>>,
    /// Every known method by the names of its function and its own.
    pub(crate) methods: HashMap<String, HashMap<String, Arc<Route>>>,
    /// What other components import, by [`import_key`].
    pub(crate) imports: HashMap<String, Arc<Route>>,
    /// Where the other functions are invoked.
    pub(crate) rest: Option<Arc<Endpoint>>,
    /// The names of those.
    pub(crate) others: BTreeSet<String>,
}

/// The key of a function of an imported interface.
pub(crate) fn import_key(interface: &str, name: &str) -> String {
    format!("{interface}#{name}")
}

impl Table {
    /// The functions that run on this node.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }

    /// Where other functions run, when that is not here.
    pub fn remote_url(&self) -> Option<&str> {
        match &self.rest.as_ref()?.kind {
            Kind::Remote(remote) => Some(remote.url()),
            Kind::Local(_) => None,
        }
    }

    /// A method by its names; private ones too. One of a remote function is a route all the same: it is known there which
    /// methods it has.
    pub fn route(&self, function: &str, method: &str) -> Option<Arc<Route>> {
        let known = self.methods.get(function);
        if let Some(route) = known.and_then(|methods| methods.get(method)) {
            return Some(route.clone());
        }
        let rest = self
            .rest
            .as_ref()
            .filter(|_| self.others.contains(function) && is_name(method))?;
        Some(Arc::new(Route::new(Target::unknown(function, method, rest.clone()))))
    }

    /// The same of a method that the manifest names.
    pub fn named(&self, name: &MethodName) -> Option<Arc<Route>> {
        self.route(&name.function, &name.method)
    }

    pub(crate) fn add(&mut self, route: Arc<Route>) {
        let methods = self.methods.entry(route.signature.function.to_string()).or_default();
        methods.insert(route.signature.name.clone(), route);
    }
}
