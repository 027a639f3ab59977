//! Calls that wait together, made as one where the manifest names a method for that: requests in the socket of one
//! connection, and what the gateway itself asks for many connections.
//!
//! A method that takes many does what as many calls of the other would, in their order; its only parameter beside the
//! caller is a list of records whose fields are the other's parameters, or of that parameter where there is one alone, and
//! it gives a list of the other's results. Under load many frames, or many connections, cost one call; a request that is
//! alone is a call of its own, at once.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::{Type, Val};

use super::Gateway;
use super::calls::{self, result_type};
use super::error::{self, EdgeError};
use super::functions::{Answer, Argument, Functions};
use super::records::By;
use crate::config::{GatewaySettings, MethodName};
use crate::deployments::{LoadError, Method};
use crate::dispatch::{self, Dispatch};
use crate::identity::Caller;
use crate::json;

/// The methods that the manifest pairs, found and checked where they run here. Functions elsewhere are called one by
/// one.
pub(super) struct Together(Vec<Arc<Pair>>);

/// A method, and the one that does many of its calls.
pub(super) struct Pair {
    one: Arc<Method>,
    many: Arc<Method>,
}

impl Together {
    /// Checks every pair that the settings name.
    pub(super) fn new(functions: &Functions, settings: &GatewaySettings) -> Result<Self, LoadError> {
        let Some(dispatch) = functions.here() else {
            return Ok(Self(Vec::new()));
        };
        let pairs = settings
            .together
            .iter()
            .map(|(one, many)| pair(dispatch, one, many).map(Arc::new));
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The pair of a method, where it has one.
    pub(super) fn pair(&self, function: &str, method: &str) -> Option<&Arc<Pair>> {
        let of = |pair: &&Arc<Pair>| *pair.one.function == *function && pair.one.name == method;
        self.0.iter().find(of)
    }
}

fn pair(dispatch: &Dispatch, one: &MethodName, many: &MethodName) -> Result<Pair, LoadError> {
    const PURPOSE: &str = "calls made together";
    let pair = Pair {
        one: dispatch.named(one, PURPOSE)?,
        many: dispatch.named(many, PURPOSE)?,
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

impl Pair {
    fn misfit(&self) -> Option<&'static str> {
        let Self { one, many } = self;
        if (one.public, one.takes_caller, &one.function) != (many.public, many.takes_caller, &many.function) {
            return Some("it must be public, take a caller and be of the same function as");
        }
        let parameters: Vec<_> = one.client_parameters().collect();
        let fits = match many.client_parameters().collect::<Vec<_>>().as_slice() {
            [(_, Type::List(list))] => match (parameters.as_slice(), list.ty()) {
                ([(_, ty)], element) => **ty == element,
                (parameters, Type::Record(record)) => record
                    .fields()
                    .map(|field| (field.name, field.ty))
                    .eq(parameters.iter().map(|(name, ty)| (*name, (*ty).clone()))),
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

    /// The arguments of one call, as an element of the list of many.
    fn element(&self, mut values: Vec<Val>) -> Val {
        match (values.len(), values.pop()) {
            (1, Some(value)) => value,
            (_, last) => {
                values.extend(last);
                let names = self.one.client_parameters().map(|(name, _)| name.to_owned());
                Val::Record(names.zip(values).collect())
            }
        }
    }

    /// Makes calls as one; an answer for each.
    async fn call(
        &self,
        dispatch: &Dispatch,
        by: By,
        elements: Vec<Val>,
    ) -> Result<impl ExactSizeIterator<Item = dispatch::Answer> + use<>, EdgeError> {
        let (count, arguments) = (elements.len(), vec![Val::List(elements)]);
        let answer = match by {
            By::Client(caller) => dispatch.call(&self.many, caller, arguments).await?,
            By::System => dispatch.system(&self.many, arguments).await?,
        };
        match answer.map_err(|error| error::answered(error.as_ref()))? {
            Some(Val::List(results)) if results.len() == count => {
                Ok(results.into_iter().map(|result| dispatch::answer(Some(result))))
            }
            _ => {
                // What became of some is not known.
                tracing::error!(
                    method = self.many.full_name(),
                    "it gave another number of results than it was asked for"
                );
                Err(EdgeError::permanent("internal", "internal error"))
            }
        }
    }

    /// Makes calls of the host itself, each with one argument, as one; an answer for each.
    pub(super) async fn system(
        &self,
        dispatch: &Dispatch,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<Result<Answer, EdgeError>>, EdgeError> {
        let ty = self.one.parameters.first().map(|(_, ty)| ty);
        // Whether they fit was checked at the start.
        let elements = arguments.iter().filter_map(|argument| argument.to_val(ty?)).collect();
        let answers = self.call(dispatch, By::System, elements).await?;
        let answer = |answer: dispatch::Answer| match answer {
            Ok(value) => Ok(Answer::Value(value)),
            Err(error) => Err(error::answered(error.as_ref())),
        };
        Ok(answers.map(answer).collect())
    }
}

/// Makes requests in one call, each with its own answer.
pub(super) async fn call(
    gateway: &Gateway,
    pair: &Pair,
    requests: Vec<Value>,
    caller: Option<Caller>,
) -> Vec<Result<Vec<u8>, EdgeError>> {
    let read = |params| Ok(json::arguments(pair.one.client_parameters(), params)?);
    let arguments: Vec<Result<Vec<Val>, EdgeError>> = requests.into_iter().map(read).collect();
    let mut refused = Vec::with_capacity(arguments.len());
    let mut elements = Vec::with_capacity(arguments.len());
    for arguments in arguments {
        match arguments {
            Ok(values) => {
                elements.push(pair.element(values));
                refused.push(None);
            }
            Err(error) => refused.push(Some(error)),
        }
    }
    let mut answers = match elements.is_empty() {
        true => Ok(Vec::new().into_iter()),
        false => answers(gateway, pair, elements, caller).await.map(Vec::into_iter),
    };
    let missing = || Err(EdgeError::permanent("internal", "internal error"));
    let answer = |refused| match (refused, &mut answers) {
        (Some(error), _) => Err(error),
        (None, Ok(answers)) => answers.next().unwrap_or_else(missing),
        (None, Err(error)) => Err(error.clone()),
    };
    refused.into_iter().map(answer).collect()
}

async fn answers(
    gateway: &Gateway,
    pair: &Pair,
    elements: Vec<Val>,
    caller: Option<Caller>,
) -> Result<Vec<Result<Vec<u8>, EdgeError>>, EdgeError> {
    let Some(dispatch) = gateway.functions.here() else {
        // Pairs are of functions that run here.
        return Ok(Vec::new());
    };
    let by = By::Client(caller);
    calls::may_call(&pair.many, &by)?;
    let most = gateway.settings.answer_max_bytes;
    let answers = pair.call(dispatch, by, elements).await?;
    Ok(answers.map(|answer| calls::text_of(&pair.one, answer, most)).collect())
}
