//! Frames of JSON-RPC 2.0: requests read, responses written. It knows no method.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use wire::error::EdgeError;

use crate::error::rpc_code;

/// One request. Without an id it wants no answer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Option<Id>,
    pub(crate) function: String,
    pub(crate) method: String,
    pub(crate) params: Value,
}

/// The id of a request, as the client wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Id(Box<RawValue>);

impl Id {
    /// It is said back as it was written, so it must be something that a reader of JSON can read: a number that is
    /// out of every range, or half a character, is not.
    fn is_valid(&self) -> bool {
        matches!(
            serde_json::from_str(self.0.get()),
            Ok(Value::String(_) | Value::Number(_) | Value::Null)
        )
    }
}

/// A frame: one request, or some at once. What cannot be read is an error in its place.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) requests: Vec<Result<Request, (Option<Id>, EdgeError)>>,
    /// Whether the answers go into one array.
    pub(crate) batch: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    params: Option<Value>,
    #[serde(default, deserialize_with = "some")]
    id: Option<Box<RawValue>>,
}

/// An id that is null is there; one that is absent is not.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl Incoming {
    /// Reads a frame of at most `batch_max` requests.
    pub(crate) fn read(text: &str, batch_max: usize) -> Self {
        let refused = |error| Self {
            requests: vec![Err((None, error))],
            batch: false,
        };
        if !text.trim_start().starts_with('[') {
            return Self {
                requests: vec![request(text)],
                batch: false,
            };
        }
        match serde_json::from_str::<Vec<&RawValue>>(text) {
            Err(error) => refused(unreadable(&error)),
            Ok(items) if items.is_empty() => refused(EdgeError::permanent("invalid_request", "an empty batch")),
            Ok(items) if items.len() > batch_max => refused(EdgeError::permanent(
                "too_large",
                format!("a batch has {batch_max} requests at most"),
            )),
            Ok(items) => Self {
                requests: items.iter().map(|item| request(item.get())).collect(),
                batch: true,
            },
        }
    }
}

fn request(text: &str) -> Result<Request, (Option<Id>, EdgeError)> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| (None, unreadable(&error)))?;
    let id = envelope.id.map(Id);
    if !id.as_ref().is_none_or(Id::is_valid) {
        return Err((
            None,
            EdgeError::permanent("invalid_request", "`id` must be a string, a number or null"),
        ));
    }
    if envelope.jsonrpc != "2.0" {
        return Err((id, EdgeError::permanent("invalid_request", "`jsonrpc` must be \"2.0\"")));
    }
    let Some((function, method)) = envelope.method.split_once('.') else {
        let message = format!(
            "unknown method {}",
            envelope.method.chars().take(64).collect::<String>()
        );
        return Err((id, EdgeError::permanent("unknown_method", message)));
    };
    Ok(Request {
        function: function.to_owned(),
        method: method.to_owned(),
        params: envelope.params.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        id,
    })
}

fn unreadable(error: &serde_json::Error) -> EdgeError {
    match error.classify() {
        serde_json::error::Category::Data => EdgeError::permanent("invalid_request", error.to_string()),
        _ => EdgeError::permanent("parse_error", error.to_string()),
    }
}

/// A response: the result as JSON text, or the error.
pub(crate) fn response(id: Option<&Id>, outcome: &Result<Vec<u8>, EdgeError>) -> Vec<u8> {
    let id = id.map_or("null", |id| id.0.get());
    let mut text = format!(r#"{{"jsonrpc":"2.0","id":{id},"#).into_bytes();
    match outcome {
        Ok(result) => {
            text.extend_from_slice(br#""result":"#);
            text.extend_from_slice(result);
        }
        Err(error) => {
            text.extend_from_slice(format!(r#""error":{{"code":{},"message":"#, rpc_code(error)).as_bytes());
            wire::json::serialize(&error.message, &mut text);
            text.extend_from_slice(br#","data":{"code":"#);
            wire::json::serialize(&error.code, &mut text);
            text.extend_from_slice(format!(r#","retryable":{}}}}}"#, error.retryable).as_bytes());
        }
    }
    text.push(b'}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        match Incoming::read(text, 3).requests.pop().expect("one") {
            Ok(request) => format!("{}.{} {}", request.function, request.method, request.params),
            Err((_, error)) => error.code,
        }
    }

    #[test]
    fn requests_are_read_and_nonsense_is_named() {
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":1,"method":"a.b","params":{"x":1}}"#),
            r#"a.b {"x":1}"#
        );
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"a.b"}"#), "a.b {}");
        assert_eq!(code("nonsense"), "parse_error");
        assert_eq!(code(""), "parse_error");
        assert_eq!(code(r#"{"jsonrpc":"2.0"}"#), "invalid_request");
        assert_eq!(code(r#"{"jsonrpc":"1.0","id":1,"method":"a.b"}"#), "invalid_request");
        for id in ["{}", "[]", "true", "1e999", r#""\ud800""#] {
            let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a.b"}}"#);
            assert_eq!(code(&request), "invalid_request");
        }
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":1,"method":"a.b","more":1}"#),
            "invalid_request"
        );
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"ab"}"#), "unknown_method");
        assert_eq!(code("[]"), "invalid_request");
        assert_eq!(code("[1,2,3,4]"), "too_large");
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"a.b","params":{}{}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        assert_eq!(code(&deep), "parse_error");
    }

    #[test]
    fn responses_carry_the_id_as_it_was_written() {
        let incoming = Incoming::read(r#"[{"jsonrpc":"2.0","id":"a\"","method":"a.b"}]"#, 3);
        assert!(incoming.batch);
        let request = incoming.requests.into_iter().next().expect("one").expect("valid");
        let text = response(request.id.as_ref(), &Ok(b"1".to_vec()));
        assert_eq!(
            String::from_utf8(text).expect("UTF-8"),
            r#"{"jsonrpc":"2.0","id":"a\"","result":1}"#
        );
        let text = response(None, &Err(EdgeError::permanent("invalid", "no")));
        let error = r#"{"code":-32602,"message":"no","data":{"code":"invalid","retryable":false}}"#;
        assert_eq!(
            String::from_utf8(text).expect("UTF-8"),
            format!(r#"{{"jsonrpc":"2.0","id":null,"error":{error}}}"#)
        );
    }
}
