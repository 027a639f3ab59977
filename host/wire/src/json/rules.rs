//! The rules for values of any type, for whoever walks them when it runs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

/// Why a JSON value does not fit a type: where, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Mismatch {
    /// `params` and the keys from there.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// Where in the input we are: a list towards the root, made into text only when something is wrong.
#[derive(Debug, Clone, Copy)]
pub struct JsonPath<'a> {
    parent: Option<&'a JsonPath<'a>>,
    name: &'a str,
}

impl<'a> JsonPath<'a> {
    /// Where the arguments of a call are.
    pub const PARAMS: JsonPath<'static> = JsonPath {
        parent: None,
        name: "params",
    };

    /// Where the caller is that an operator names.
    pub const CALLER: JsonPath<'static> = JsonPath {
        parent: None,
        name: "caller",
    };

    /// One below this one.
    pub fn below(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            name,
        }
    }

    fn path(&self) -> String {
        match self.parent {
            Some(parent) => format!("{}.{}", parent.path(), self.name),
            None => self.name.to_owned(),
        }
    }

    /// What is wrong here.
    pub fn wrong(&self, reason: impl Into<String>) -> Mismatch {
        Mismatch {
            path: self.path(),
            reason: reason.into(),
        }
    }
}

/// The members of what must be an object.
pub fn object(value: Value, at: &JsonPath<'_>) -> Result<Map<String, Value>, Mismatch> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(at.wrong(format!("expected an object, got {}", kind(&other)))),
    }
}

/// What is wrong when a member is not there.
pub fn missing(key: &str, at: &JsonPath<'_>) -> Mismatch {
    at.wrong(format!("`{key}` is missing"))
}

/// Refuses members that nobody took.
pub fn no_more(object: &Map<String, Value>, at: &JsonPath<'_>) -> Result<(), Mismatch> {
    match object.keys().next() {
        Some(key) => Err(at.wrong(format!("`{}` is not known here", clip(key)))),
        None => Ok(()),
    }
}

/// Bounds what of the input is said back.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// An integer of a type with these bounds.
pub fn integer<T>(value: &Value, at: &JsonPath<'_>, least: T, most: T) -> Result<T, Mismatch>
where
    T: TryFrom<i128> + std::fmt::Display,
{
    let number = whole(value, at)?;
    T::try_from(number).map_err(|_| at.wrong(format!("{number} is out of range, it must be from {least} to {most}")))
}

fn whole(value: &Value, at: &JsonPath<'_>) -> Result<i128, Mismatch> {
    let Value::Number(number) = value else {
        return Err(at.wrong(format!("expected a whole number, got {}", kind(value))));
    };
    number
        .as_i128()
        .ok_or_else(|| at.wrong(format!("{} is not a whole number in range", clip(&number.to_string()))))
}

/// A 64-bit integer may also be decimal text.
pub fn long(value: Value, at: &JsonPath<'_>) -> Result<Value, Mismatch> {
    let Value::String(text) = &value else { return Ok(value) };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let decimal = !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<i128>() {
        Ok(number) if decimal => serde_json::Number::from_i128(number)
            .map(Value::Number)
            .ok_or_else(|| at.wrong(format!("{number} is out of range of 64 bits"))),
        _ => Err(at.wrong("expected a whole number, as a number or as decimal digits in a string")),
    }
}

/// Text.
pub fn string(value: Value, at: &JsonPath<'_>) -> Result<String, Mismatch> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(at.wrong(format!("expected a string, got {}", kind(&other)))),
    }
}

/// The items of an array.
pub fn array(value: Value, at: &JsonPath<'_>) -> Result<Vec<Value>, Mismatch> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(at.wrong(format!("expected an array, got {}", kind(&other)))),
    }
}

/// A truth value.
pub fn boolean(value: &Value, at: &JsonPath<'_>) -> Result<bool, Mismatch> {
    value.as_bool().ok_or_else(|| at.wrong("expected true or false"))
}

/// The bytes that base64 stands for.
pub fn bytes(value: Value, at: &JsonPath<'_>) -> Result<Vec<u8>, Mismatch> {
    BASE64
        .decode(string(value, at)?)
        .map_err(|error| at.wrong(format!("not base64: {error}")))
}

/// The items of an array that must have so many.
pub fn tuple(value: Value, length: usize, at: &JsonPath<'_>) -> Result<Vec<Value>, Mismatch> {
    let items = array(value, at)?;
    if items.len() != length {
        return Err(at.wrong(format!("expected {length} items, got {}", items.len())));
    }
    Ok(items)
}

/// A number.
pub fn float(value: &Value, at: &JsonPath<'_>) -> Result<f64, Mismatch> {
    value
        .as_f64()
        .ok_or_else(|| at.wrong(format!("expected a number, got {}", kind(value))))
}

/// A number of 32 bits.
pub fn short_float(value: &Value, at: &JsonPath<'_>) -> Result<f32, Mismatch> {
    let number = float(value, at)? as f32;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(at.wrong(format!("{value} is out of range of 32 bits")))
    }
}

/// Text of one character.
pub fn single(value: Value, at: &JsonPath<'_>) -> Result<char, Mismatch> {
    let text = string(value, at)?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(at.wrong("expected a string of one character")),
    }
}

/// The name of a case, and its payload.
pub fn case(value: Value, at: &JsonPath<'_>) -> Result<(String, Option<Value>), Mismatch> {
    match value {
        Value::String(name) => Ok((name, None)),
        Value::Object(object) if object.len() == 1 => object
            .into_iter()
            .next()
            .map(|(name, payload)| (name, Some(payload)))
            .ok_or_else(|| at.wrong("empty")),
        other => Err(at.wrong(format!(
            "expected a string or an object of one key, got {}",
            kind(&other)
        ))),
    }
}

/// What is wrong with a name that nothing has.
pub fn unknown(name: &str, known: impl Iterator<Item = String>, at: &JsonPath<'_>) -> Mismatch {
    let known: Vec<_> = known.collect();
    at.wrong(format!("`{}` is not one of {}", clip(name), known.join(", ")))
}

/// A WIT name as JSON spells it.
pub fn snake(name: &str) -> String {
    name.replace('-', "_")
}

/// Writes what is between brackets, with commas.
pub fn sequence<T>(
    brackets: &[u8; 2],
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(T, &mut Vec<u8>),
) {
    let [open, close] = *brackets;
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        each(item, out);
    }
    out.push(close);
}

/// Writes a name as JSON spells it. WIT names are letters, digits and dashes: they need no escapes.
pub fn name_of(name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend(name.bytes().map(|byte| if byte == b'-' { b'_' } else { byte }));
    out.push(b'"');
}

/// Writes what needs no quotes.
pub fn plain(value: &impl std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{value}");
}

/// Writes a number of 64 bits.
pub fn quoted(value: &impl std::fmt::Display, out: &mut Vec<u8>) {
    out.push(b'"');
    plain(value, out);
    out.push(b'"');
}

/// Writes what JSON has of its own: text and floating-point numbers.
pub fn serialize(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing text or a number into a Vec cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// Text as a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    serialize(text, out);
}

/// Writes bytes, as base64.
pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    serialize(&BASE64.encode(bytes), out);
}
