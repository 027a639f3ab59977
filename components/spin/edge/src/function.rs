//! What a function behind an edge is, and who may call what of it.

use wire::Value;
use wire::error::EdgeError;
use wire::request::Caller;

use crate::answer::Answer;
use crate::request::{By, Method, Parts};

/// What the operator asks in person may be a batch, of as many bodies of clients as this.
pub(crate) const BATCH_BODIES: usize = 128;

/// A function behind this edge.
pub trait Function {
    /// Its name in the manifest.
    const NAME: &'static str;
    /// Bytes of a body of a client; one more is `too_large`.
    const FRAME_MAX_BYTES: usize;
    /// Bytes of an answer; one more is `too_large`.
    const ANSWER_MAX_BYTES: usize;
    /// What can be called.
    const METHODS: &'static [Method];

    /// Readies what the calls of a request cannot wait for later.
    fn prepare() -> impl Future<Output = Result<(), EdgeError>>;

    /// Whom a bearer token stands for.
    fn verify(token: String) -> impl Future<Output = Result<Caller, EdgeError>>;

    /// Calls a method with the arguments but the caller.
    fn call(method: &str, params: Value, caller: Option<Caller>) -> impl Future<Output = Answer>;
}

/// Answers a request: the body of a good answer, or an error.
pub async fn answer<F: Function>(parts: Parts<'_>, operator_token: &str) -> Answer {
    let params = parts.arguments(body_max_bytes::<F>(&parts, operator_token))?;
    let by = match parts.by(operator_token)? {
        By::Token(token) => By::Client(Some(F::verify(token).await?)),
        by => by,
    };
    let (function, name) = parts.names;
    let known = F::METHODS.iter().find(|method| method.name == name);
    let method = known.filter(|method| function == F::NAME && (method.public || by == By::System));
    let method = method.ok_or_else(|| EdgeError::unknown_method(function, name))?;
    let By::Client(caller) = by else {
        return call::<F>(method, params, None).await;
    };
    call::<F>(method, params, caller).await
}

/// Bytes that a body may have.
pub(crate) fn body_max_bytes<F: Function>(parts: &Parts<'_>, operator_token: &str) -> usize {
    match parts.is_of_system(operator_token) {
        true => F::FRAME_MAX_BYTES.saturating_mul(BATCH_BODIES),
        false => F::FRAME_MAX_BYTES,
    }
}

async fn call<F: Function>(method: &Method, params: Value, caller: Option<Caller>) -> Answer {
    if method.takes_caller && caller.is_none() {
        return Err(EdgeError::unauthenticated());
    }
    F::prepare().await?;
    let text = F::call(method.name, params, caller).await?;
    if text.len() > F::ANSWER_MAX_BYTES {
        return Err(EdgeError::answer_too_large(F::ANSWER_MAX_BYTES));
    }
    Ok(text)
}
