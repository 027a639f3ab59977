//! Answers of Redis, made whole again.
//!
//! Spin gives the parts of an answer in one flat list. For a command whose answer has a known shape that is enough; a
//! script packs its answer into one text, which is unpacked here.

use redis::Value;
use spin_sdk::redis::RedisResult;

/// Makes a script pack its answer. An error stays one.
pub(crate) fn packed(script: &str) -> String {
    format!(
        "local answer = (function()\n{script}\nend)()\n\
         if type(answer) == 'table' and answer.err then return answer end\n\
         return cmsgpack.pack(answer)"
    )
}

/// What a packed answer says, as the server would have said it without packing.
pub(crate) fn unpacked(results: Vec<RedisResult>) -> Option<Value> {
    match results.into_iter().next()? {
        RedisResult::Binary(bytes) => Some(value(rmpv::decode::read_value(&mut bytes.as_slice()).ok()?)),
        _ => None,
    }
}

/// The answer to a command that gives one thing, or as many as there are keys.
pub(crate) fn flat(results: Vec<RedisResult>, is_list: bool) -> Value {
    let mut values = results.into_iter().map(single);
    match is_list {
        true => Value::Array(values.collect()),
        false => values.next().unwrap_or(Value::Nil),
    }
}

fn single(result: RedisResult) -> Value {
    match result {
        RedisResult::Nil => Value::Nil,
        RedisResult::Status(status) if status == "OK" => Value::Okay,
        RedisResult::Status(status) => Value::SimpleString(status),
        RedisResult::Int64(number) => Value::Int(number),
        RedisResult::Binary(bytes) => Value::BulkString(bytes),
    }
}

/// As Redis turns a value of Lua into an answer.
fn value(packed: rmpv::Value) -> Value {
    match packed {
        rmpv::Value::Nil | rmpv::Value::Boolean(false) => Value::Nil,
        rmpv::Value::Boolean(true) => Value::Int(1),
        rmpv::Value::Integer(number) => Value::Int(number.as_i64().unwrap_or(i64::MAX)),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a number of Lua loses its fraction on the way"
        )]
        rmpv::Value::F64(number) => Value::Int(number as i64),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a number of Lua loses its fraction on the way"
        )]
        rmpv::Value::F32(number) => Value::Int(number as i64),
        rmpv::Value::String(text) => Value::BulkString(text.into_bytes()),
        rmpv::Value::Binary(bytes) => Value::BulkString(bytes),
        rmpv::Value::Array(items) => Value::Array(items.into_iter().map(value).collect()),
        _ => Value::Nil,
    }
}
