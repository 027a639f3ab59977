//! Calls that wait together, made as one where the manifest names a method for that: requests of clients, and what the
//! gateway itself asks for their connections.
//!
//! A method that takes many does what as many calls of the other would; its only parameter is a list of records whose
//! fields are the other's parameters, the caller among them, or of that parameter where there is one alone, and it gives a
//! list of the other's results. No client may call it: it speaks for every caller that it is given. Under load many frames
//! of many connections cost one call; a request that is alone is a call of its own, at once.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;
use wasmtime::component::{Type, Val};

use super::Gateway;
use super::calls::{self, result_type};
use super::error::{self, EdgeError};
use super::functions::Functions;
use super::gathering::{Full, Gathering};
use super::records::By;
use crate::config::{GatewaySettings, MethodName};
use crate::deployments::{LoadError, Method};
use crate::dispatch::{self, Dispatch};
use crate::identity::Caller;
use crate::json;
use crate::values::ToRecord;

/// The methods that the manifest pairs, found and checked where they run here. Functions elsewhere are called one by
/// one.
pub(super) struct Together(Vec<Arc<Pair>>);

/// A method, and the one that does many of its calls.
pub(super) struct Pair {
    one: Arc<Method>,
    many: Arc<Method>,
    gathering: Gathering<Arc<Wanted>, Vec<Outcome>>,
}

/// Calls that are wanted by one connection, to be made in this order.
struct Wanted {
    by: By,
    /// The arguments of each, but the caller.
    calls: Vec<Vec<Val>>,
}

/// What became of a call.
pub(super) type Outcome = Result<dispatch::Answer, EdgeError>;

impl Together {
    /// Checks every pair that the settings name.
    pub(super) fn new(functions: &Functions, settings: &GatewaySettings) -> Result<Self, LoadError> {
        let Some(dispatch) = functions.here() else {
            return Ok(Self(Vec::new()));
        };
        let pairs = settings
            .together
            .iter()
            .map(|(one, many)| Pair::new(dispatch, one, many, settings).map(Arc::new));
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The pair of a method, where it has one.
    pub(super) fn pair(&self, function: &str, method: &str) -> Option<&Arc<Pair>> {
        let of = |pair: &&Arc<Pair>| *pair.one.function == *function && pair.one.name == method;
        self.0.iter().find(of)
    }

    /// The same, of a method that clients who are logged in may call.
    pub(super) fn pair_of_clients(&self, function: &str, method: &str) -> Option<&Arc<Pair>> {
        self.pair(function, method)
            .filter(|pair| pair.one.public && pair.one.takes_caller)
    }
}

impl Pair {
    fn new(
        dispatch: &Dispatch,
        one: &MethodName,
        many: &MethodName,
        settings: &GatewaySettings,
    ) -> Result<Self, LoadError> {
        const PURPOSE: &str = "calls made together";
        let pair = Self {
            one: dispatch.named(one, PURPOSE)?,
            many: dispatch.named(many, PURPOSE)?,
            gathering: Gathering::new(settings.together_max, settings.together_waiting_max),
        };
        match pair.misfit() {
            None => Ok(pair),
            Some(reason) => Err(LoadError::MethodMismatch {
                name: pair.many.full_name(),
                purpose: PURPOSE,
                reason: format!("{reason} `{}`", pair.one.name),
            }),
        }
    }

    fn misfit(&self) -> Option<&'static str> {
        let Self { one, many, .. } = self;
        if many.takes_caller || one.function != many.function {
            return Some("it must take no caller of its own and be of the same function as");
        }
        if many.public && one.takes_caller {
            return Some("it must not be public, since it speaks for the callers of");
        }
        let fits = match many.parameters.as_slice() {
            [(_, Type::List(list))] => match (one.parameters.as_slice(), list.ty()) {
                ([(_, ty)], element) if !one.takes_caller => *ty == element,
                (parameters, Type::Record(record)) => record
                    .fields()
                    .map(|field| (field.name, field.ty))
                    .eq(parameters.iter().map(|(name, ty)| (name.as_str(), ty.clone()))),
                _ => false,
            },
            _ => false,
        };
        if !fits {
            return Some(
                "it must take a list of records whose fields are the parameters, or a list of the only parameter, of",
            );
        }
        match (result_type(many), &one.result) {
            (Some(Type::List(list)), Some(result)) if list.ty() == *result => None,
            _ => Some("it must give a list of the results of"),
        }
    }

    /// The type of the only argument of a call that the gateway makes.
    pub(super) fn argument(&self) -> Option<&Type> {
        self.one.parameters.first().map(|(_, ty)| ty)
    }

    /// Has calls made, with those of whoever else wants some now; what became of each.
    pub(super) async fn ask(&self, dispatch: &Dispatch, by: By, calls: Vec<Vec<Val>>) -> Vec<Outcome> {
        let count = calls.len();
        let wanted = Arc::new(Wanted { by, calls });
        let asked = self.gathering.ask(wanted, count, |wanted| self.make(dispatch, wanted));
        asked.await.unwrap_or_else(|Full| {
            let message = format!("too many calls of {} wait", self.one.full_name());
            vec![Err(EdgeError::passing("overloaded", message)); count]
        })
    }

    async fn make(&self, dispatch: &Dispatch, wanted: Vec<Arc<Wanted>>) -> Vec<Vec<Outcome>> {
        if let [alone] = wanted.as_slice() {
            return vec![self.make_alone(dispatch, alone).await];
        }
        let counts = wanted.iter().map(|wanted| wanted.calls.len());
        match self.make_as_one(dispatch, wanted.iter().map(Arc::as_ref)).await {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter().map(Ok);
                counts.map(|count| outcomes.by_ref().take(count).collect()).collect()
            }
            Err(error) if error.retryable => counts.map(|count| vec![Err(error.clone()); count]).collect(),
            // It may be the fault of one of them, which costs the others no more than a second call.
            Err(_) => join_all(wanted.iter().map(|wanted| self.make_alone(dispatch, wanted))).await,
        }
    }

    async fn make_alone(&self, dispatch: &Dispatch, wanted: &Wanted) -> Vec<Outcome> {
        match wanted.calls.as_slice() {
            [arguments] => {
                let (one, arguments) = (&self.one, arguments.clone());
                let answer = match &wanted.by {
                    By::Client(caller) => dispatch.call(one, caller.clone(), arguments).await,
                    By::System => dispatch.system(one, arguments).await,
                };
                vec![answer.map_err(EdgeError::from)]
            }
            calls => match self.make_as_one(dispatch, [wanted]).await {
                Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); calls.len()],
            },
        }
    }

    /// Makes calls as one; an answer for each.
    async fn make_as_one(
        &self,
        dispatch: &Dispatch,
        wanted: impl IntoIterator<Item = &Wanted>,
    ) -> Result<Vec<dispatch::Answer>, EdgeError> {
        let internal = || EdgeError::permanent("internal", "internal error");
        let elements = wanted
            .into_iter()
            .flat_map(|wanted| wanted.calls.iter().map(|call| self.element(&wanted.by, call)));
        // Whether they fit was checked at the start.
        let elements: Vec<Val> = elements.collect::<Option<_>>().ok_or_else(internal)?;
        let count = elements.len();
        let answer = dispatch.system(&self.many, vec![Val::List(elements)]).await?;
        match answer.map_err(|error| error::answered(error.as_ref()))? {
            Some(Val::List(results)) if results.len() == count => Ok(results
                .into_iter()
                .map(|result| dispatch::answer(Some(result)))
                .collect()),
            _ => {
                // What became of some is not known.
                tracing::error!(
                    method = self.many.full_name(),
                    "it gave another number of results than it was asked for"
                );
                Err(internal())
            }
        }
    }

    /// A call as an element of the list of many.
    fn element(&self, by: &By, arguments: &[Val]) -> Option<Val> {
        let caller = match (by, self.one.parameters.first()) {
            (By::Client(Some(caller)), Some((_, ty))) if self.one.takes_caller => Some(caller.to_val(ty)?),
            _ => None,
        };
        if let (None, [only]) = (&caller, arguments) {
            return Some(only.clone());
        }
        let names = self.one.parameters.iter().map(|(name, _)| name.clone());
        let values = caller.into_iter().chain(arguments.iter().cloned());
        Some(Val::Record(names.zip(values).collect()))
    }
}

/// Makes requests of a client that wait together, each with its own answer.
pub(super) async fn call(
    gateway: &Gateway,
    pair: &Pair,
    requests: Vec<Value>,
    caller: Option<Caller>,
) -> Vec<Result<Vec<u8>, EdgeError>> {
    let by = By::Client(caller);
    let Some(dispatch) = gateway.functions.here() else {
        // Pairs are of functions that run here.
        return Vec::new();
    };
    if let Err(error) = calls::may_call(&pair.one, &by) {
        return vec![Err(error); requests.len()];
    }
    let mut refused = Vec::with_capacity(requests.len());
    let mut calls = Vec::with_capacity(requests.len());
    for request in requests {
        match json::arguments(pair.one.client_parameters(), request) {
            Ok(arguments) => {
                calls.push(arguments);
                refused.push(None);
            }
            Err(mismatch) => refused.push(Some(mismatch.into())),
        }
    }
    let outcomes = match calls.is_empty() {
        true => Vec::new(),
        false => pair.ask(dispatch, by, calls).await,
    };
    let (most, mut outcomes) = (gateway.settings.answer_max_bytes, outcomes.into_iter());
    let answer = |refused: Option<EdgeError>| match refused {
        Some(error) => Err(error),
        None => match outcomes.next() {
            Some(outcome) => calls::text_of(&pair.one, outcome?, most),
            None => Err(EdgeError::permanent("internal", "internal error")),
        },
    };
    refused.into_iter().map(answer).collect()
}
