//! JSON from WIT types: the only module that knows both.
//!
//! Records are objects with snake_case keys and without the keys of absent options; enums are
//! snake_case strings; variants are a string, or an object of one key when the case has a payload;
//! `u64` and `s64` are decimal strings (JavaScript loses integers above 2^53), and numbers are
//! accepted too; `list<u8>` is base64; tuples are arrays; flags are arrays of strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use wasmtime::component::{Type, Val};

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
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    name: &'a str,
}

impl Place<'_> {
    fn path(&self) -> String {
        match self.parent {
            Some(parent) => format!("{}.{}", parent.path(), self.name),
            None => self.name.to_owned(),
        }
    }

    fn wrong(&self, reason: impl Into<String>) -> Mismatch {
        Mismatch {
            path: self.path(),
            reason: reason.into(),
        }
    }
}

/// Reads the named arguments of a call: an object with a key for each parameter. Parameters of
/// option type may be absent; keys that no parameter has are refused.
pub fn arguments<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a Type)> + Clone,
    input: Value,
) -> Result<Vec<Val>, Mismatch> {
    let place = Place {
        parent: None,
        name: "params",
    };
    let Value::Object(mut object) = input else {
        return Err(place.wrong(format!("expected an object, got {}", kind(&input))));
    };
    let values = parameters
        .map(|(name, ty)| member(&mut object, name, ty, &place))
        .collect::<Result<_, _>>()?;
    no_more(&object, &place)?;
    Ok(values)
}

fn member(object: &mut serde_json::Map<String, Value>, name: &str, ty: &Type, place: &Place) -> Result<Val, Mismatch> {
    let key = snake(name);
    match (object.remove(&key), ty) {
        (Some(value), _) => to_val(
            value,
            ty,
            &Place {
                parent: Some(place),
                name: &key,
            },
        ),
        (None, Type::Option(_)) => Ok(Val::Option(None)),
        (None, _) => Err(place.wrong(format!("`{key}` is missing"))),
    }
}

fn no_more(object: &serde_json::Map<String, Value>, place: &Place) -> Result<(), Mismatch> {
    match object.keys().next() {
        Some(key) => Err(place.wrong(format!("`{}` is not known here", clip(key)))),
        None => Ok(()),
    }
}

/// Bounds what of the input is said back.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

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

/// Reads an integer that must fit.
macro_rules! integer {
    ($value:expr, $place:expr, $variant:ident, $integer:ty) => {{
        let number = whole($value, $place)?;
        <$integer>::try_from(number).map(Val::$variant).map_err(|_| {
            $place.wrong(format!(
                "{number} is out of range, it must be from {} to {}",
                <$integer>::MIN,
                <$integer>::MAX
            ))
        })
    }};
}

fn whole(value: &Value, place: &Place) -> Result<i128, Mismatch> {
    let Value::Number(number) = value else {
        return Err(place.wrong(format!("expected a whole number, got {}", kind(value))));
    };
    number
        .as_i128()
        .ok_or_else(|| place.wrong(format!("{} is not a whole number in range", clip(&number.to_string()))))
}

/// A 64-bit integer may also be decimal text.
fn long(value: Value, place: &Place) -> Result<Value, Mismatch> {
    let Value::String(text) = &value else { return Ok(value) };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let decimal = !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<i128>() {
        Ok(number) if decimal => serde_json::Number::from_i128(number)
            .map(Value::Number)
            .ok_or_else(|| place.wrong(format!("{number} is out of range of 64 bits"))),
        _ => Err(place.wrong("expected a whole number, as a number or as decimal digits in a string")),
    }
}

fn string(value: Value, place: &Place) -> Result<String, Mismatch> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(place.wrong(format!("expected a string, got {}", kind(&other)))),
    }
}

fn array(value: Value, place: &Place) -> Result<Vec<Value>, Mismatch> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(place.wrong(format!("expected an array, got {}", kind(&other)))),
    }
}

fn to_val(value: Value, ty: &Type, place: &Place) -> Result<Val, Mismatch> {
    match ty {
        Type::Bool => value
            .as_bool()
            .map(Val::Bool)
            .ok_or_else(|| place.wrong("expected true or false")),
        Type::S8 => integer!(&value, place, S8, i8),
        Type::U8 => integer!(&value, place, U8, u8),
        Type::S16 => integer!(&value, place, S16, i16),
        Type::U16 => integer!(&value, place, U16, u16),
        Type::S32 => integer!(&value, place, S32, i32),
        Type::U32 => integer!(&value, place, U32, u32),
        Type::S64 => integer!(&long(value, place)?, place, S64, i64),
        Type::U64 => integer!(&long(value, place)?, place, U64, u64),
        Type::Float32 => short_float(&value, place).map(Val::Float32),
        Type::Float64 => float(&value, place).map(Val::Float64),
        Type::Char => single(&string(value, place)?, place),
        Type::String => string(value, place).map(Val::String),
        Type::List(list) => to_list(value, &list.ty(), place).map(Val::List),
        Type::Record(record) => {
            let Value::Object(mut object) = value else {
                return Err(place.wrong(format!("expected an object, got {}", kind(&value))));
            };
            let fields = record
                .fields()
                .map(|field| {
                    Ok((
                        field.name.to_owned(),
                        member(&mut object, field.name, &field.ty, place)?,
                    ))
                })
                .collect::<Result<_, Mismatch>>()?;
            no_more(&object, place)?;
            Ok(Val::Record(fields))
        }
        Type::Tuple(tuple) => {
            let (items, types) = (array(value, place)?, tuple.types());
            if items.len() != types.len() {
                return Err(place.wrong(format!("expected {} items, got {}", types.len(), items.len())));
            }
            items
                .into_iter()
                .zip(types)
                .map(|(item, ty)| to_val(item, &ty, place))
                .collect::<Result<_, _>>()
                .map(Val::Tuple)
        }
        Type::Variant(variant) => {
            let (name, payload) = case(value, place)?;
            let known = variant.cases().find(|case| snake(case.name) == name);
            let Some(known) = known else {
                return Err(unknown(&name, variant.cases().map(|case| snake(case.name)), place));
            };
            Ok(Val::Variant(
                known.name.to_owned(),
                payload_of(payload, known.ty.as_ref(), &name, place)?,
            ))
        }
        Type::Enum(names) => {
            let text = string(value, place)?;
            names
                .names()
                .find(|name| snake(name) == text)
                .map(|name| Val::Enum(name.to_owned()))
                .ok_or_else(|| unknown(&text, names.names().map(snake), place))
        }
        Type::Option(option) => match value {
            Value::Null => Ok(Val::Option(None)),
            value => Ok(Val::Option(Some(Box::new(to_val(value, &option.ty(), place)?)))),
        },
        Type::Result(result) => {
            let (name, payload) = case(value, place)?;
            match name.as_str() {
                "ok" => Ok(Val::Result(Ok(payload_of(
                    payload,
                    result.ok().as_ref(),
                    &name,
                    place,
                )?))),
                "err" => Ok(Val::Result(Err(payload_of(
                    payload,
                    result.err().as_ref(),
                    &name,
                    place,
                )?))),
                _ => Err(unknown(&name, ["ok".to_owned(), "err".to_owned()].into_iter(), place)),
            }
        }
        Type::Flags(flags) => array(value, place)?
            .into_iter()
            .map(|item| {
                let text = string(item, place)?;
                let known = flags.names().find(|name| snake(name) == text).map(str::to_owned);
                known.ok_or_else(|| unknown(&text, flags.names().map(snake), place))
            })
            .collect::<Result<_, _>>()
            .map(Val::Flags),
        _ => Err(place.wrong("values of this type cannot be sent as JSON")),
    }
}

fn to_list(value: Value, item: &Type, place: &Place) -> Result<Vec<Val>, Mismatch> {
    if let Type::U8 = item {
        let bytes = BASE64
            .decode(string(value, place)?)
            .map_err(|error| place.wrong(format!("not base64: {error}")))?;
        return Ok(bytes.into_iter().map(Val::U8).collect());
    }
    let items = array(value, place)?;
    let mut values = Vec::with_capacity(items.len());
    for (index, value) in items.into_iter().enumerate() {
        values.push(to_val(
            value,
            item,
            &Place {
                parent: Some(place),
                name: &index.to_string(),
            },
        )?);
    }
    Ok(values)
}

fn float(value: &Value, place: &Place) -> Result<f64, Mismatch> {
    value
        .as_f64()
        .ok_or_else(|| place.wrong(format!("expected a number, got {}", kind(value))))
}

#[expect(clippy::cast_possible_truncation, reason = "a float32 is what the type asks for")]
fn short_float(value: &Value, place: &Place) -> Result<f32, Mismatch> {
    let number = float(value, place)? as f32;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(place.wrong(format!("{value} is out of range of 32 bits")))
    }
}

fn single(text: &str, place: &Place) -> Result<Val, Mismatch> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(Val::Char(character)),
        _ => Err(place.wrong("expected a string of one character")),
    }
}

fn case(value: Value, place: &Place) -> Result<(String, Option<Value>), Mismatch> {
    match value {
        Value::String(name) => Ok((name, None)),
        Value::Object(object) if object.len() == 1 => object
            .into_iter()
            .next()
            .map(|(name, payload)| (name, Some(payload)))
            .ok_or_else(|| place.wrong("empty")),
        other => Err(place.wrong(format!(
            "expected a string or an object of one key, got {}",
            kind(&other)
        ))),
    }
}

fn payload_of(
    payload: Option<Value>,
    ty: Option<&Type>,
    name: &str,
    place: &Place,
) -> Result<Option<Box<Val>>, Mismatch> {
    let place = Place {
        parent: Some(place),
        name,
    };
    match (payload, ty) {
        (None | Some(Value::Null), None) => Ok(None),
        (Some(value), Some(ty)) => Ok(Some(Box::new(to_val(value, ty, &place)?))),
        (None, Some(Type::Option(_))) => Ok(Some(Box::new(Val::Option(None)))),
        (None, Some(_)) => Err(place.wrong("a value is missing")),
        (Some(_), None) => Err(place.wrong("takes no value")),
    }
}

fn unknown(name: &str, known: impl Iterator<Item = String>, place: &Place) -> Mismatch {
    let known: Vec<_> = known.collect();
    place.wrong(format!("`{}` is not one of {}", clip(name), known.join(", ")))
}

/// A WIT name as JSON spells it.
pub fn snake(name: &str) -> String {
    name.replace('-', "_")
}

/// Writes a value of a type. What JSON cannot say (infinite numbers, handles) is null.
pub fn write(val: &Val, ty: &Type, out: &mut Vec<u8>) {
    match (val, ty) {
        (Val::U64(number), _) => quoted(number, out),
        (Val::S64(number), _) => quoted(number, out),
        (Val::Bool(truth), _) => plain(truth, out),
        (Val::U8(number), _) => plain(number, out),
        (Val::S8(number), _) => plain(number, out),
        (Val::U16(number), _) => plain(number, out),
        (Val::S16(number), _) => plain(number, out),
        (Val::U32(number), _) => plain(number, out),
        (Val::S32(number), _) => plain(number, out),
        (Val::Float32(number), _) => serialize(number, out),
        (Val::Float64(number), _) => serialize(number, out),
        (Val::Char(character), _) => serialize(character, out),
        (Val::String(text), _) => serialize(text, out),
        (Val::List(items), Type::List(list)) => write_list(items, &list.ty(), out),
        (Val::Record(fields), Type::Record(record)) => {
            let present = fields
                .iter()
                .zip(record.fields())
                .filter(|((_, value), _)| !matches!(value, Val::Option(None)));
            sequence(b"{}", present, out, |((name, value), field), out| {
                name_of(name, out);
                out.push(b':');
                write(value, &field.ty, out);
            });
        }
        (Val::Tuple(items), Type::Tuple(tuple)) => {
            sequence(b"[]", items.iter().zip(tuple.types()), out, |(item, ty), out| {
                write(item, &ty, out)
            });
        }
        (Val::Variant(name, None), _) | (Val::Enum(name), _) => name_of(name, out),
        (Val::Variant(name, Some(payload)), Type::Variant(variant)) => {
            let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
            write_case(name, Some(payload), ty.as_ref(), out);
        }
        (Val::Option(None), _) => out.extend_from_slice(b"null"),
        (Val::Option(Some(content)), Type::Option(option)) => write(content, &option.ty(), out),
        (Val::Result(Ok(payload)), Type::Result(result)) => {
            write_case("ok", payload.as_deref(), result.ok().as_ref(), out);
        }
        (Val::Result(Err(payload)), Type::Result(result)) => {
            write_case("err", payload.as_deref(), result.err().as_ref(), out);
        }
        (Val::Flags(names), _) => sequence(b"[]", names.iter(), out, |name, out| name_of(name, out)),
        _ => out.extend_from_slice(b"null"),
    }
}

fn write_list(items: &[Val], ty: &Type, out: &mut Vec<u8>) {
    if let Type::U8 = ty {
        let bytes: Vec<u8> = items
            .iter()
            .map(|item| if let Val::U8(byte) = item { *byte } else { 0 })
            .collect();
        return serialize(&BASE64.encode(bytes), out);
    }
    sequence(b"[]", items.iter(), out, |item, out| write(item, ty, out));
}

fn write_case(name: &str, payload: Option<&Val>, ty: Option<&Type>, out: &mut Vec<u8>) {
    let (Some(payload), Some(ty)) = (payload, ty) else {
        return name_of(name, out);
    };
    out.push(b'{');
    name_of(name, out);
    out.push(b':');
    write(payload, ty, out);
    out.push(b'}');
}

fn sequence<T>(
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

/// WIT names are letters, digits and dashes: they need no escapes.
fn name_of(name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend(name.bytes().map(|byte| if byte == b'-' { b'_' } else { byte }));
    out.push(b'"');
}

fn plain(value: &impl std::fmt::Display, out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{value}");
}

fn quoted(value: &impl std::fmt::Display, out: &mut Vec<u8>) {
    out.push(b'"');
    plain(value, out);
    out.push(b'"');
}

fn serialize(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing text or a number into a Vec cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// Text as a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    serialize(text, out);
}

/// What an error value says: its code, message and whether a retry may help.
///
/// The record of `mpim:im/types` says all three. Of other errors the name of the case or enum is the
/// code, and a text in it is the message; those named `unavailable`, `overloaded` or `timeout` may be retried.
pub fn error_parts(error: Option<&Val>) -> (String, String, bool) {
    let retryable = |code: &str| matches!(code, "unavailable" | "overloaded" | "timeout");
    match error {
        Some(Val::Record(fields)) => {
            let find = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
            let code = match find("code") {
                Some(Val::Enum(code) | Val::String(code)) => snake(code),
                _ => "error".to_owned(),
            };
            let message = find("message")
                .and_then(crate::values::text)
                .unwrap_or(&code)
                .to_owned();
            let again = matches!(find("retryable"), Some(Val::Bool(true)));
            (code, message, again)
        }
        Some(Val::Variant(name, payload)) => {
            let message = payload
                .as_deref()
                .and_then(crate::values::text)
                .unwrap_or(name)
                .to_owned();
            (snake(name), message, retryable(name))
        }
        Some(Val::Enum(name)) => (snake(name), name.clone(), retryable(name)),
        Some(Val::String(text)) => ("error".to_owned(), text.clone(), false),
        _ => ("error".to_owned(), "the call failed".to_owned(), false),
    }
}

#[cfg(test)]
mod tests;
