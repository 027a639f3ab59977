//! A call of a client, from JSON to JSON, the same for both edges.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::Type;

use super::Gateway;
use super::error::{self, EdgeError};
use crate::config::GatewaySettings;
use crate::deployments::Method;
use crate::dispatch::Dispatch;
use crate::identity::Caller;
use crate::{json, values};

/// What a successful call gave.
pub(super) struct Called {
    /// The result as JSON.
    pub(super) text: Vec<u8>,
    /// The `token` of the result, where it is a record that has one.
    pub(super) token: Option<String>,
}

/// Makes a call.
pub(super) async fn call(
    gateway: &Gateway,
    function: &str,
    method: &str,
    params: Value,
    caller: Option<Caller>,
) -> Result<Called, EdgeError> {
    let Gateway { dispatch, settings, .. } = gateway;
    let method = public(dispatch, function, method)?;
    if method.takes_caller && caller.is_none() {
        return Err(EdgeError::unauthenticated());
    }
    let arguments = json::arguments(method.client_parameters(), params)?;
    match dispatch.call(&method, caller, arguments).await? {
        Ok(value) => {
            let mut text = Vec::with_capacity(128);
            match (&value, result_type(&method)) {
                (Some(value), Some(ty)) => json::write(value, &ty, &mut text),
                _ => text.extend_from_slice(b"null"),
            }
            if text.len() > settings.answer_max_bytes {
                return Err(too_large(settings));
            }
            let token = value
                .as_ref()
                .and_then(|value| values::text(values::field(value, "token")?).map(str::to_owned));
            Ok(Called { text, token })
        }
        Err(error) => Err(error::answered(error.as_ref())),
    }
}

/// What is said instead of an answer that is larger than the settings allow.
pub(super) fn too_large(settings: &GatewaySettings) -> EdgeError {
    EdgeError::answer_too_large(settings.answer_max_bytes)
}

/// A private method is as unknown as one that is not there.
fn public(dispatch: &Dispatch, function: &str, method: &str) -> Result<Arc<Method>, EdgeError> {
    let found = dispatch
        .method(function, method)
        .filter(|method| method.public)
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
