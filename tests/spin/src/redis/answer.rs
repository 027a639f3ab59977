//! Answers of Redis as Spin gives them: one flat list, whatever was in what. It refuses to know the command.

use redis::Value;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::failure::Failure;

/// The most bytes that an answer may have in the memory of Spin.
const MOST_BYTES: usize = 128 << 20;

/// `redis-result`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum Answer {
    #[component(name = "nil")]
    Nil,
    #[component(name = "status")]
    Status(String),
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "binary")]
    Binary(Vec<u8>),
}

/// The pieces of an answer in their order: lists and sets leave no trace of where they begin and end, an empty one
/// leaves nothing, and what Spin has no type for is an error for the whole.
pub(super) fn flatten(value: Value) -> Result<Vec<Answer>, Failure> {
    let mut pieces = Vec::new();
    append(&mut pieces, value)?;
    bound(size_of::<Vec<Answer>>() + pieces.iter().map(size).sum::<usize>())?;
    Ok(pieces)
}

/// An error when an answer is larger than Spin lets pass.
pub(super) fn bound(bytes: usize) -> Result<(), Failure> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(Failure::Other(format!(
        "query result exceeds limit of {MOST_BYTES} bytes"
    )))
}

fn append(pieces: &mut Vec<Answer>, value: Value) -> Result<(), Failure> {
    let piece = match value {
        Value::Nil => Answer::Nil,
        Value::Int(number) => Answer::Int64(number),
        Value::Boolean(truth) => Answer::Int64(i64::from(truth)),
        Value::BulkString(bytes) | Value::BigNumber(bytes) => Answer::Binary(bytes),
        Value::Double(number) => Answer::Binary(number.to_string().into_bytes()),
        Value::SimpleString(text) => Answer::Status(text),
        Value::Okay => Answer::Status("OK".to_owned()),
        Value::Array(values) | Value::Set(values) => {
            return values.into_iter().try_for_each(|value| append(pieces, value));
        }
        Value::Map(_) => return Err(unsupported("Redis Map type is not supported")),
        Value::Attribute { .. } => return Err(unsupported("Redis Attribute type is not supported")),
        Value::VerbatimString { .. } => {
            return Err(unsupported("Redis string with format attribute is not supported"));
        }
        Value::Push { .. } => return Err(unsupported("Redis Pub/Sub types are not supported")),
        other => return Err(unsupported(&format!("{other:?}"))),
    };
    pieces.push(piece);
    Ok(())
}

fn unsupported(reason: &str) -> Failure {
    Failure::Other(format!("Could not convert Redis response - TypeError: {reason}"))
}

fn size(piece: &Answer) -> usize {
    size_of::<Answer>()
        + match piece {
            Answer::Nil | Answer::Int64(_) => 0,
            Answer::Status(text) => text.len(),
            Answer::Binary(bytes) => bytes.len(),
        }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{Answer, flatten};
    use crate::redis::failure::Failure;

    #[test]
    fn an_answer_is_one_flat_list() {
        let tree = Value::Array(vec![
            Value::Int(1),
            Value::Array(vec![Value::Nil, Value::Array(vec![]), Value::Okay]),
            Value::Set(vec![Value::BulkString(b"x".to_vec()), Value::Boolean(true)]),
            Value::SimpleString("PONG".to_owned()),
            Value::Double(1.5),
        ]);
        let flat = [
            Answer::Int64(1),
            Answer::Nil,
            Answer::Status("OK".to_owned()),
            Answer::Binary(b"x".to_vec()),
            Answer::Int64(1),
            Answer::Status("PONG".to_owned()),
            Answer::Binary(b"1.5".to_vec()),
        ];
        assert_eq!(flatten(tree).unwrap(), flat);
        assert_eq!(flatten(Value::Array(vec![])).unwrap(), []);
    }

    #[test]
    fn a_map_is_an_error() {
        let Failure::Other(text) = flatten(Value::Map(vec![])).unwrap_err() else {
            panic!("another failure");
        };
        assert_eq!(
            text,
            "Could not convert Redis response - TypeError: Redis Map type is not supported"
        );
    }
}
