//! Requests of one connection that wait in its socket, made as one call where the manifest names a method for that.
//!
//! A method that takes many does what as many calls of the other would, in their order; its only parameter beside the
//! caller is a list of records whose fields are the other's parameters, and it gives a list of the other's results.
//! Under load a connection costs one call for many frames; a request that is alone is a call of its own, at once.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::{Type, Val};

use super::Gateway;
use super::calls::{self, result_type};
use super::error::{self, EdgeError};
use super::functions::Functions;
use super::records::By;
use crate::config::{GatewaySettings, MethodName};
use crate::deployments::{LoadError, Method};
use crate::dispatch::{self, Dispatch};
use crate::identity::Caller;
use crate::json;

/// The methods that the manifest pairs, found and checked where they run here. Functions elsewhere are called one by
/// one.
pub(super) struct Together(Vec<Pair>);

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
        let pairs = settings.together.iter().map(|(one, many)| pair(dispatch, one, many));
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The pair of a method, where it has one.
    pub(super) fn pair(&self, function: &str, method: &str) -> Option<&Pair> {
        let of = |pair: &&Pair| *pair.one.function == *function && pair.one.name == method;
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
        let fields_fit = match many.client_parameters().collect::<Vec<_>>().as_slice() {
            [(_, Type::List(list))] => match list.ty() {
                Type::Record(record) => record
                    .fields()
                    .map(|field| (field.name.to_owned(), field.ty))
                    .eq(one.client_parameters().map(|(name, ty)| (name.to_owned(), ty.clone()))),
                _ => false,
            },
            _ => false,
        };
        if !fields_fit {
            return Some("it must take a list of records whose fields are the parameters of");
        }
        match (result_type(many), &one.result) {
            (Some(Type::List(list)), Some(result)) if list.ty() == *result => None,
            _ => Some("it must give a list of the results of"),
        }
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
    let mut records = Vec::with_capacity(arguments.len());
    for arguments in arguments {
        match arguments {
            Ok(values) => {
                let names = pair.one.client_parameters().map(|(name, _)| name.to_owned());
                records.push(Val::Record(names.zip(values).collect()));
                refused.push(None);
            }
            Err(error) => refused.push(Some(error)),
        }
    }
    let mut answers = match records.is_empty() {
        true => Ok(Vec::new().into_iter()),
        false => answers(gateway, pair, records, caller).await.map(Vec::into_iter),
    };
    let answer = |refused| match (refused, &mut answers) {
        (Some(error), _) => Err(error),
        (None, Ok(answers)) => answers.next().unwrap_or_else(|| Err(no_answer(pair))),
        (None, Err(error)) => Err(error.clone()),
    };
    refused.into_iter().map(answer).collect()
}

async fn answers(
    gateway: &Gateway,
    pair: &Pair,
    records: Vec<Val>,
    caller: Option<Caller>,
) -> Result<Vec<Result<Vec<u8>, EdgeError>>, EdgeError> {
    let Some(functions) = gateway.functions.here() else {
        return Err(no_answer(pair));
    };
    calls::may_call(&pair.many, &By::Client(caller.clone()))?;
    let answer = functions.call(&pair.many, caller, vec![Val::List(records)]).await?;
    let results = match answer.map_err(|error| error::answered(error.as_ref()))? {
        Some(Val::List(results)) => results,
        _ => return Err(no_answer(pair)),
    };
    let most = gateway.settings.answer_max_bytes;
    Ok(results
        .into_iter()
        .map(|result| calls::text_of(&pair.one, dispatch::answer(Some(result)), most))
        .collect())
}

/// The answers are fewer than the requests: what became of the rest is not known.
fn no_answer(pair: &Pair) -> EdgeError {
    tracing::error!(
        method = pair.many.full_name(),
        "it gave fewer results than it was asked for"
    );
    EdgeError::permanent("internal", "internal error")
}
