//! Values on their way to Spin and back.

use contract::sql::{Error, Value};
use dialect::failure::Failure;
use spin_sdk::mysql::{DbValue, ParameterValue};

/// Values as Spin takes them.
pub(super) fn bind(params: &[Value]) -> Result<Vec<ParameterValue>, Failure> {
    let bound = params.iter().enumerate().map(|(index, param)| {
        Ok(match param {
            Value::Null => ParameterValue::DbNull,
            Value::Integer(number) => ParameterValue::Int64(*number),
            Value::Real(number) if !number.is_finite() => {
                let reason = format!("parameter {index} is not a finite number");
                return Err(Failure::of_request(Error::Invalid(reason)));
            }
            Value::Real(number) => ParameterValue::Floating64(*number),
            Value::Text(text) => ParameterValue::Str(text.clone()),
            Value::Blob(bytes) => ParameterValue::Binary(bytes.clone()),
        })
    });
    bound.collect()
}

/// A value of a row. Spin calls a text binary when its column is compared byte by byte, as all of ours are, so bytes
/// that are text are taken for text.
pub(super) fn read(value: DbValue) -> Result<Value, Error> {
    Ok(match value {
        DbValue::DbNull => Value::Null,
        DbValue::Boolean(truth) => Value::Integer(i64::from(truth)),
        DbValue::Int8(number) => Value::Integer(number.into()),
        DbValue::Int16(number) => Value::Integer(number.into()),
        DbValue::Int32(number) => Value::Integer(number.into()),
        DbValue::Int64(number) => Value::Integer(number),
        DbValue::Uint8(number) => Value::Integer(number.into()),
        DbValue::Uint16(number) => Value::Integer(number.into()),
        DbValue::Uint32(number) => Value::Integer(number.into()),
        DbValue::Uint64(number) => Value::Integer(
            i64::try_from(number)
                .map_err(|_| Error::Invalid("a number does not fit into 64 bits with a sign".to_owned()))?,
        ),
        DbValue::Floating32(number) => Value::Real(number.into()),
        DbValue::Floating64(number) => Value::Real(number),
        DbValue::Str(text) => Value::Text(text),
        DbValue::Binary(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Value::Text(text),
            Err(error) => Value::Blob(error.into_bytes()),
        },
        DbValue::Unsupported => return Err(Error::Invalid("a column has a type that Spin cannot carry".to_owned())),
    })
}
