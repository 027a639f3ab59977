//! A call of a client, from JSON to JSON, the same for both edges.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use wasmtime::component::Type;

use super::Gateway;
use super::error::{self, EdgeError};
use super::functions::Functions;
use super::records::By;
use crate::deployments::Method;
use crate::dispatch::{Answer, Dispatch};
use crate::json;
use crate::remote::Remote;

/// What a successful call gave.
pub(super) struct Called {
    /// The result as JSON.
    pub(super) text: Vec<u8>,
}

impl Called {
    /// The `token` of the result, where it is a record that has one.
    pub(super) fn token(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Granted {
            token: String,
        }
        serde_json::from_slice::<Granted>(&self.text)
            .ok()
            .map(|granted| granted.token)
    }
}

/// Makes a call.
pub(super) async fn call(
    gateway: &Gateway,
    function: &str,
    method: &str,
    params: Value,
    by: By,
) -> Result<Called, EdgeError> {
    let most = gateway.settings.answer_max_bytes;
    let text = match &*gateway.functions {
        Functions::Here(dispatch) => here(dispatch, function, method, params, by, most).await?,
        Functions::There(remote) => within(there(remote, function, method, params, by).await?, most)?,
    };
    Ok(Called { text })
}

async fn here(
    dispatch: &Dispatch,
    function: &str,
    method: &str,
    params: Value,
    by: By,
    most: usize,
) -> Result<Vec<u8>, EdgeError> {
    let method = find(dispatch, function, method, &by)?;
    may_call(&method, &by)?;
    let arguments = json::arguments(method.client_parameters(), params)?;
    let answer = match by {
        By::Client(caller) => dispatch.call(&method, caller, arguments).await?,
        By::System => dispatch.system(&method, arguments).await?,
    };
    text_of(&method, answer, most)
}

/// A method that takes a caller needs one.
pub(super) fn may_call(method: &Method, by: &By) -> Result<(), EdgeError> {
    match by {
        By::Client(Some(_)) => Ok(()),
        _ if method.takes_caller => Err(EdgeError::unauthenticated()),
        _ => Ok(()),
    }
}

/// What a method answered, as JSON of so many bytes at most.
pub(super) fn text_of(method: &Method, answer: Answer, most: usize) -> Result<Vec<u8>, EdgeError> {
    let value = answer.map_err(|error| error::answered(error.as_ref()))?;
    let mut text = Vec::with_capacity(128);
    match (&value, result_type(method)) {
        (Some(value), Some(ty)) => json::write(value, &ty, &mut text),
        _ => text.extend_from_slice(b"null"),
    }
    within(text, most)
}

fn within(text: Vec<u8>, most: usize) -> Result<Vec<u8>, EdgeError> {
    if text.len() > most {
        return Err(EdgeError::answer_too_large(most));
    }
    Ok(text)
}

/// What a client sent goes on as it is: the types that it must fit are known where the functions are.
async fn there(remote: &Remote, function: &str, method: &str, params: Value, by: By) -> Result<Vec<u8>, EdgeError> {
    let called = remote.call(function, method, params.to_string(), by.header());
    Ok(called.await?.into_bytes())
}

/// To a client a private method is as unknown as one that is not there.
fn find(dispatch: &Dispatch, function: &str, method: &str, by: &By) -> Result<Arc<Method>, EdgeError> {
    let found = dispatch
        .method(function, method)
        .filter(|method| method.public || *by == By::System)
        .cloned();
    found.ok_or_else(|| EdgeError::unknown_method(function, method))
}

/// The type of what a method gives when all is well.
pub(super) fn result_type(method: &Method) -> Option<Type> {
    match &method.result {
        Some(Type::Result(result)) => result.ok(),
        other => other.clone(),
    }
}
