//! A call of a client, from JSON to JSON, the same for both edges.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use wasmtime::component::Type;

use super::Gateway;
use super::error::EdgeError;
use super::functions::Functions;
use super::records::By;
use crate::deployments::Method;
use crate::dispatch::Dispatch;
use crate::fault::Fault;
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
        Functions::Here(dispatch) => here(dispatch, function, method, params, by).await?,
        Functions::There(remote) => there(remote, function, method, params, by).await?,
    };
    if text.len() > most {
        return Err(too_large(most));
    }
    Ok(Called { text })
}

async fn here(dispatch: &Dispatch, function: &str, method: &str, params: Value, by: By) -> Result<Vec<u8>, EdgeError> {
    let method = find(dispatch, function, method, &by)?;
    if method.takes_caller && !matches!(by, By::Client(Some(_))) {
        return Err(Fault::Unauthenticated.into());
    }
    let arguments = json::arguments(method.client_parameters(), params)?;
    let answer = match by {
        By::Client(caller) => dispatch.call(&method, caller, arguments).await?,
        By::System => dispatch.system(&method, arguments).await?,
    };
    let value = answer.map_err(|error| EdgeError::answered(error.as_ref()))?;
    let mut text = Vec::with_capacity(128);
    match (&value, result_type(&method)) {
        (Some(value), Some(ty)) => json::write(value, &ty, &mut text),
        _ => text.extend_from_slice(b"null"),
    }
    Ok(text)
}

/// What a client sent goes on as it is: the types that it must fit are known where the functions are.
async fn there(remote: &Remote, function: &str, method: &str, params: Value, by: By) -> Result<Vec<u8>, EdgeError> {
    let called = remote.call(function, method, params.to_string(), by.header());
    Ok(called.await?.into_bytes())
}

/// What is said instead of an answer that has more than so many bytes.
pub(super) fn too_large(most: usize) -> EdgeError {
    EdgeError::permanent(
        "too_large",
        format!("the answer has more than {most} bytes, ask for less"),
    )
}

/// To a client a private method is as unknown as one that is not there.
fn find(dispatch: &Dispatch, function: &str, method: &str, by: &By) -> Result<Arc<Method>, EdgeError> {
    let found = dispatch
        .method(function, method)
        .filter(|method| method.public || *by == By::System)
        .cloned();
    let clip = |text: &str| text.chars().take(64).collect::<String>();
    found.ok_or_else(|| Fault::UnknownMethod(format!("{}.{}", clip(function), clip(method))).into())
}

/// The type of what a method gives when all is well.
pub(super) fn result_type(method: &Method) -> Option<Type> {
    match &method.result {
        Some(Type::Result(result)) => result.ok(),
        other => other.clone(),
    }
}
