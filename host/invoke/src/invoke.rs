//! The way to every function: the table of routes of this moment, and the calls that are made with it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use call::{Caller, Context};
use config::MethodName;
use runtime::{LoadError, Type};
use serde_json::Value;
use wire::error::EdgeError;

use crate::answer::Answer;
use crate::arguments::Input;
use crate::batch::{Outcome, make_one};
use crate::endpoint::Kind;
use crate::error::{Unfit, internal, refused};
use crate::host_arguments::HostArguments;
use crate::route::Route;
use crate::stack;
use crate::table::Table;

/// Calls of functions, wherever they run.
pub struct Invoke {
    table: ArcSwap<Table>,
    pub(crate) depth_max: u32,
}

impl Invoke {
    /// Calls by a table; functions may call each other so deep.
    pub(crate) fn new(depth_max: u32) -> Self {
        Self {
            table: ArcSwap::default(),
            depth_max,
        }
    }

    /// The table of this moment.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Puts another table in place of the present one, in one step. Calls that are under way end on the routes that they
    /// began with; sockets never notice.
    pub fn replace(&self, table: Table) {
        self.table.store(Arc::new(table));
    }

    /// The route of a method; whether it may be called is decided when it is.
    pub fn route(&self, function: &str, method: &str) -> Result<Arc<Route>, EdgeError> {
        let route = self.table.load().route(function, method);
        route.ok_or_else(|| EdgeError::unknown_method(function, method))
    }

    /// The route of a method of a function of this node: what another host has passed on goes no further.
    pub fn own_route(&self, function: &str, method: &str) -> Result<Arc<Route>, EdgeError> {
        let route = self.route(function, method)?;
        match route.binding {
            Some(_) => Ok(route),
            None => Err(EdgeError::unknown_method(function, method)),
        }
    }

    pub(crate) fn import(&self, key: &str) -> Option<Arc<Route>> {
        self.table.load().imports.get(key).cloned()
    }

    /// One call from an edge, as far as its caller may make it.
    pub async fn call(&self, route: &Route, input: Input<'_>, context: Context) -> Result<Answer, EdgeError> {
        route.admit(&context)?;
        let parts = route.with_caller(route.prepare(input)?, &context.caller)?;
        let reply = stack::invoke(route, parts, context, self.depth_max).await;
        Answer::of(route, reply.map_err(refused)?)
    }

    /// One call of the host, in a batch with those of whoever else calls the same method now, where it has a batch method.
    async fn call_batched(&self, route: &Route, input: Input<'_>, context: Context) -> Result<Answer, EdgeError> {
        let parts = route.prepare(input)?;
        match &route.batch {
            None => make_one(route, parts, context, self.depth_max).await,
            Some(batch) => {
                let mut outcomes = batch.ask(route, context, vec![parts]).await;
                outcomes.pop().unwrap_or_else(|| Err(internal()))
            }
        }
    }

    /// Calls of one client of one method, in this order, each with its own outcome; in a batch with those of others.
    pub async fn call_many(&self, route: &Route, inputs: Vec<Value>, context: Context) -> Vec<Outcome> {
        if let Err(error) = route.admit(&context) {
            return inputs.iter().map(|_| Err(error.clone())).collect();
        }
        let Some(batch) = &route.batch else {
            let mut outcomes = Vec::with_capacity(inputs.len());
            for input in inputs {
                outcomes.push(self.call(route, Input::Json(input), context.clone()).await);
            }
            return outcomes;
        };
        let mut refused = Vec::with_capacity(inputs.len());
        let mut calls = Vec::with_capacity(inputs.len());
        for input in inputs {
            match route.prepare(Input::Json(input)) {
                Ok(parts) => {
                    calls.push(parts);
                    refused.push(None);
                }
                Err(error) => refused.push(Some(error)),
            }
        }
        let outcomes = match calls.is_empty() {
            true => Vec::new(),
            false => batch.ask(route, context, calls).await,
        };
        let mut outcomes = outcomes.into_iter();
        let outcome = |refused: Option<EdgeError>| match refused {
            Some(error) => Err(error),
            None => outcomes.next().unwrap_or_else(|| Err(internal())),
        };
        refused.into_iter().map(outcome).collect()
    }

    /// A call of the host itself of a method that the manifest names, with whoever else calls it now.
    pub async fn ask(
        &self,
        name: &MethodName,
        arguments: &HostArguments<'_>,
        caller: Caller,
    ) -> Result<Answer, EdgeError> {
        let route = self.table.load().named(name);
        let route = route.ok_or_else(|| EdgeError::unknown_method(&name.function, &name.method))?;
        let is_of_host = caller == Caller::System;
        let context = Context::begin(caller, route.deadline());
        let asked = self.call_batched(&route, Input::Host(arguments), context).await;
        asked.map_err(|error| if is_of_host { route.told_the_host(error) } else { error })
    }

    /// Checks that a method that the manifest names can be called with arguments like these. Remote functions say so when
    /// they are called.
    pub fn check(
        &self,
        name: &MethodName,
        purpose: &'static str,
        arguments: &HostArguments<'_>,
    ) -> Result<(), LoadError> {
        let route = self.named(name, purpose)?;
        let Some(method) = &route.binding else { return Ok(()) };
        let parameters = &method.parameters;
        let mut both = parameters.iter().zip(arguments);
        if parameters.len() == arguments.len() && both.all(|((_, ty), (_, argument))| argument.to_val(ty).is_some()) {
            return Ok(());
        }
        let takes: Vec<_> = arguments.iter().map(|(_, argument)| argument.kind()).collect();
        let takes = match takes.as_slice() {
            [] => "no parameters".to_owned(),
            kinds => kinds.join(" and "),
        };
        Err(LoadError::MethodMismatch {
            name: name.to_string(),
            purpose,
            reason: format!("it must take {takes}"),
        })
    }

    /// Checks that a method that the manifest names for logging in gives the token that a connection is logged in with.
    pub fn check_login(&self, name: &MethodName) -> Result<(), LoadError> {
        const PURPOSE: &str = "logging in";
        let route = self.named(name, PURPOSE)?;
        let Some(method) = &route.binding else { return Ok(()) };
        let gives_token = match method.ok_type() {
            Some(Type::Record(record)) => record
                .fields()
                .any(|field| field.name == "token" && field.ty == Type::String),
            _ => false,
        };
        if gives_token {
            return Ok(());
        }
        Err(LoadError::MethodMismatch {
            name: name.to_string(),
            purpose: PURPOSE,
            reason: "it must give a record with a `token` of type string".to_owned(),
        })
    }

    fn named(&self, name: &MethodName, purpose: &'static str) -> Result<Arc<Route>, LoadError> {
        let route = self.table.load().named(name);
        route.ok_or_else(|| LoadError::UnknownMethod {
            name: name.to_string(),
            purpose,
        })
    }

    /// Finds out whether remote functions take calls of this node, by one that changes nothing. Some that cannot be
    /// reached yet may come later.
    pub async fn probe(&self, name: &MethodName, arguments: &HostArguments<'_>) -> Result<(), Unfit> {
        let route = self.table.load().named(name);
        let Some(route) = route.filter(|route| route.binding.is_none()) else {
            return Ok(());
        };
        let Kind::Remote(remote) = &route.endpoint.kind else {
            return Ok(());
        };
        let url = || remote.url().to_owned();
        let context = Context::begin(Caller::System, route.deadline());
        let asked = self.call(&route, Input::Host(arguments), context).await;
        match asked.map_err(|error| route.told_the_host(error)) {
            Ok(_) => Ok(()),
            Err(_) if remote.is_mistrusted() => Err(Unfit::Mistrusted(url())),
            Err(error) if error.retryable => {
                tracing::warn!(
                    url = url(),
                    "functions cannot be called yet, this node begins without them"
                );
                Ok(())
            }
            Err(error) => Err(Unfit::Refused {
                url: url(),
                name: name.to_string(),
                message: error.message,
            }),
        }
    }

    /// Throws away sandboxes that were idle for too long.
    pub fn reap(&self) {
        for function in self.table.load().functions() {
            if let Kind::Local(local) = &function.endpoint.kind {
                local.pool.reap();
            }
        }
    }
}
