//! What crosses an endpoint: arguments and what came back, in the shape that the endpoint takes. Functions of this process
//! take component values; remote ones take JSON, since their types are known where they are.

use runtime::Val;
use serde_json::Value;
use wire::error::EdgeError;

/// The arguments of a call.
#[derive(Debug, Clone)]
pub(crate) enum Parts {
    /// In the order of the parameters, the caller among them.
    Values(Vec<Val>),
    /// By name, without the caller, who travels apart from them.
    Json(Value),
}

/// What a call gave.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The value of the method's result.
    Value(Option<Val>),
    /// The JSON of its ok case, or its error.
    Json(Result<String, EdgeError>),
}
