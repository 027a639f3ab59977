//! What a call gives: JSON, or an error. Used by the code that is written for a function.

use wire::error::EdgeError;
use wire::json::Json;

/// The JSON of an answer, or an error.
pub type Answer = Result<Vec<u8>, EdgeError>;

/// The JSON of a value.
pub fn json(value: &impl Json) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    value.write(&mut text);
    text
}

/// The JSON of an answer without a value.
pub fn nothing() -> Vec<u8> {
    b"null".to_vec()
}

/// There is no such method.
pub fn unknown() -> EdgeError {
    EdgeError::permanent("unknown_method", "unknown method")
}

/// An error that says nothing of itself.
pub fn failed() -> EdgeError {
    EdgeError::permanent("error", "the call failed")
}

/// A word as JSON spells it, without its quotes.
pub fn word(value: &impl Json) -> String {
    let text: String = wire::parse(&json(value)).unwrap_or_default();
    wire::json::snake(&text)
}

/// An error that is a record: its code, its message, and whether a retry may help.
pub fn refused(code: Option<String>, message: Option<String>, retryable: bool) -> EdgeError {
    let code = code.unwrap_or_else(|| "error".to_owned());
    let message = message.unwrap_or_else(|| code.clone());
    EdgeError::answered(code, message, retryable)
}

/// An error that is a case: its name is the code, and its text the message.
pub fn case(name: &str, text: Option<String>) -> EdgeError {
    let retryable = matches!(name, "unavailable" | "overloaded" | "timeout");
    let message = text.unwrap_or_else(|| name.to_owned());
    EdgeError::answered(wire::json::snake(name), message, retryable)
}
