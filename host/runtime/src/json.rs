//! JSON of values whose types are known only when a component is loaded: the only module that knows both. The rules
//! themselves are those of [`wire::json`].

use serde_json::{Map, Value};
use wasmtime::component::{Type, Val};
use wire::json::{
    self, Json as _, JsonPath, Mismatch, array, case, missing, name_of, no_more, object, plain, quoted, sequence,
    serialize, snake, string, unknown,
};

/// Reads the named arguments of a call: an object with a key for each parameter. Parameters of
/// option type may be absent; keys that no parameter has are refused.
pub fn arguments<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a Type)> + Clone,
    input: Value,
) -> Result<Vec<Val>, Mismatch> {
    let at = JsonPath::PARAMS;
    let mut object = object(input, &at)?;
    let values = parameters
        .map(|(name, ty)| member(&mut object, name, ty, &at))
        .collect::<Result<_, _>>()?;
    no_more(&object, &at)?;
    Ok(values)
}

fn member(object: &mut Map<String, Value>, name: &str, ty: &Type, at: &JsonPath<'_>) -> Result<Val, Mismatch> {
    let key = snake(name);
    match (object.remove(&key), ty) {
        (Some(value), _) => to_val(value, ty, &at.below(&key)),
        (None, Type::Option(_)) => Ok(Val::Option(None)),
        (None, _) => Err(missing(&key, at)),
    }
}

fn to_val(value: Value, ty: &Type, at: &JsonPath<'_>) -> Result<Val, Mismatch> {
    match ty {
        Type::Bool => json::boolean(&value, at).map(Val::Bool),
        Type::S8 => i8::read(value, at).map(Val::S8),
        Type::U8 => u8::read(value, at).map(Val::U8),
        Type::S16 => i16::read(value, at).map(Val::S16),
        Type::U16 => u16::read(value, at).map(Val::U16),
        Type::S32 => i32::read(value, at).map(Val::S32),
        Type::U32 => u32::read(value, at).map(Val::U32),
        Type::S64 => i64::read(value, at).map(Val::S64),
        Type::U64 => u64::read(value, at).map(Val::U64),
        Type::Float32 => f32::read(value, at).map(Val::Float32),
        Type::Float64 => f64::read(value, at).map(Val::Float64),
        Type::Char => char::read(value, at).map(Val::Char),
        Type::String => string(value, at).map(Val::String),
        Type::List(list) => to_list(value, &list.ty(), at).map(Val::List),
        Type::Record(record) => {
            let mut object = object(value, at)?;
            let fields = record
                .fields()
                .map(|field| Ok((field.name.to_owned(), member(&mut object, field.name, &field.ty, at)?)))
                .collect::<Result<_, Mismatch>>()?;
            no_more(&object, at)?;
            Ok(Val::Record(fields))
        }
        Type::Tuple(tuple) => {
            let types = tuple.types();
            json::tuple(value, types.len(), at)?
                .into_iter()
                .zip(types)
                .map(|(item, ty)| to_val(item, &ty, at))
                .collect::<Result<_, _>>()
                .map(Val::Tuple)
        }
        Type::Variant(variant) => {
            let (name, payload) = case(value, at)?;
            let known = variant.cases().find(|case| snake(case.name) == name);
            let Some(known) = known else {
                return Err(unknown(&name, variant.cases().map(|case| snake(case.name)), at));
            };
            Ok(Val::Variant(
                known.name.to_owned(),
                payload_of(payload, known.ty.as_ref(), &name, at)?,
            ))
        }
        Type::Enum(names) => {
            let text = string(value, at)?;
            names
                .names()
                .find(|name| snake(name) == text)
                .map(|name| Val::Enum(name.to_owned()))
                .ok_or_else(|| unknown(&text, names.names().map(snake), at))
        }
        Type::Option(option) => match value {
            Value::Null => Ok(Val::Option(None)),
            value => Ok(Val::Option(Some(Box::new(to_val(value, &option.ty(), at)?)))),
        },
        Type::Result(result) => {
            let (name, payload) = case(value, at)?;
            match name.as_str() {
                "ok" => Ok(Val::Result(Ok(payload_of(payload, result.ok().as_ref(), &name, at)?))),
                "err" => Ok(Val::Result(Err(payload_of(payload, result.err().as_ref(), &name, at)?))),
                _ => Err(unknown(&name, ["ok".to_owned(), "err".to_owned()].into_iter(), at)),
            }
        }
        Type::Flags(flags) => array(value, at)?
            .into_iter()
            .map(|item| {
                let text = string(item, at)?;
                let known = flags.names().find(|name| snake(name) == text).map(str::to_owned);
                known.ok_or_else(|| unknown(&text, flags.names().map(snake), at))
            })
            .collect::<Result<_, _>>()
            .map(Val::Flags),
        _ => Err(at.wrong("values of this type cannot be sent as JSON")),
    }
}

fn to_list(value: Value, item: &Type, at: &JsonPath<'_>) -> Result<Vec<Val>, Mismatch> {
    if let Type::U8 = item {
        return Ok(json::bytes(value, at)?.into_iter().map(Val::U8).collect());
    }
    let items = array(value, at)?;
    let mut values = Vec::with_capacity(items.len());
    for (index, value) in items.into_iter().enumerate() {
        values.push(to_val(value, item, &at.below(&index.to_string()))?);
    }
    Ok(values)
}

fn payload_of(
    payload: Option<Value>,
    ty: Option<&Type>,
    name: &str,
    at: &JsonPath<'_>,
) -> Result<Option<Box<Val>>, Mismatch> {
    let at = at.below(name);
    match (payload, ty) {
        (None | Some(Value::Null), None) => Ok(None),
        (Some(value), Some(ty)) => Ok(Some(Box::new(to_val(value, ty, &at)?))),
        (None, Some(Type::Option(_))) => Ok(Some(Box::new(Val::Option(None)))),
        (None, Some(_)) => Err(at.wrong("a value is missing")),
        (Some(_), None) => Err(at.wrong("takes no value")),
    }
}

/// Reads one value of a type.
pub fn read(input: Value, ty: &Type) -> Result<Val, Mismatch> {
    to_val(input, ty, &JsonPath::PARAMS)
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
        return json::write_bytes(&bytes, out);
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
