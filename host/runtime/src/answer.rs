//! What a method answered.

use wasmtime::component::Val;

/// The value of a method without error type, or of its ok case; or its error.
pub type Answer = Result<Option<Val>, Option<Val>>;

/// The answer in the value that a call gave.
pub fn answer(result: Option<Val>) -> Answer {
    match result {
        Some(Val::Result(Ok(value))) => Ok(value.map(|value| *value)),
        Some(Val::Result(Err(error))) => Err(error.map(|error| *error)),
        other => Ok(other),
    }
}
