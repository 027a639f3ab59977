//! Values as text of a statement and as parameters of a prepared one, and columns of a result as values: what comes
//! back is what SQLite would give, the same whichever way the statement went.

use std::fmt::Write;

use mysql_async::Column;
use mysql_async::consts::{ColumnFlags, ColumnType};

use contract::sql::{Error, Value};

/// The character set of what is bytes rather than text.
const BINARY: u16 = 63;

/// Writes a value as it stands in a statement, with a space before it and a negative number in parentheses, so that
/// it never grows together with what is there.
pub(super) fn write(text: &mut String, index: usize, value: &Value) -> Result<(), Error> {
    text.push(' ');
    match value {
        Value::Null => text.push_str("NULL"),
        Value::Integer(number) if *number < 0 => append(text, format_args!("({number})")),
        Value::Integer(number) => append(text, format_args!("{number}")),
        Value::Real(number) if !number.is_finite() => return Err(not_finite(index)),
        // With an exponent it is a floating point number, without one it would be a decimal.
        Value::Real(number) if number.is_sign_negative() => append(text, format_args!("({number:e})")),
        Value::Real(number) => append(text, format_args!("{number:e}")),
        Value::Text(value) => write_text(text, value),
        Value::Blob(bytes) => write_blob(text, bytes),
    }
    Ok(())
}

/// A value as a parameter of a prepared statement.
pub(super) fn bind(index: usize, value: &Value) -> Result<mysql_async::Value, Error> {
    Ok(match value {
        Value::Null => mysql_async::Value::NULL,
        Value::Integer(number) => mysql_async::Value::Int(*number),
        Value::Real(number) if !number.is_finite() => return Err(not_finite(index)),
        Value::Real(number) => mysql_async::Value::Double(*number),
        Value::Text(text) => mysql_async::Value::Bytes(text.clone().into_bytes()),
        Value::Blob(bytes) => mysql_async::Value::Bytes(bytes.clone()),
    })
}

fn not_finite(index: usize) -> Error {
    Error::Invalid(format!("parameter {index} is not a finite number"))
}

fn append(text: &mut String, value: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(value);
}

/// In the mode that the sessions set, the quote is the only letter that needs care.
fn write_text(text: &mut String, value: &str) {
    text.reserve(value.len() + 2);
    text.push('\'');
    for (index, part) in value.split('\'').enumerate() {
        if index > 0 {
            text.push_str("''");
        }
        text.push_str(part);
    }
    text.push('\'');
}

fn write_blob(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    text.reserve(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(DIGITS.get(usize::from(nibble)));
        }
    }
    text.push('\'');
}

/// What a column of a row has.
pub(super) fn read(column: &Column, value: mysql_async::Value) -> Result<Value, Error> {
    let bytes = match value {
        mysql_async::Value::NULL => return Ok(Value::Null),
        mysql_async::Value::Bytes(bytes) => bytes,
        // A prepared statement gives numbers and times in forms of their own.
        mysql_async::Value::Int(number) => return Ok(Value::Integer(number)),
        mysql_async::Value::UInt(number) => return i64::try_from(number).map(Value::Integer).map_err(|_| too_great()),
        // By way of its shortest text, as the other protocol gives it.
        mysql_async::Value::Float(number) => return real(number.to_string().as_bytes()),
        mysql_async::Value::Double(number) => return Ok(Value::Real(number)),
        time @ (mysql_async::Value::Date(..) | mysql_async::Value::Time(..)) => {
            return Ok(Value::Text(moment(column, &time)));
        }
    };
    match column.column_type() {
        ColumnType::MYSQL_TYPE_TINY
        | ColumnType::MYSQL_TYPE_SHORT
        | ColumnType::MYSQL_TYPE_INT24
        | ColumnType::MYSQL_TYPE_LONG
        | ColumnType::MYSQL_TYPE_LONGLONG
        | ColumnType::MYSQL_TYPE_YEAR => integer(&bytes),
        ColumnType::MYSQL_TYPE_FLOAT | ColumnType::MYSQL_TYPE_DOUBLE => real(&bytes),
        // A SUM of integers is a decimal without a fraction.
        ColumnType::MYSQL_TYPE_NEWDECIMAL | ColumnType::MYSQL_TYPE_DECIMAL if column.decimals() == 0 => integer(&bytes),
        ColumnType::MYSQL_TYPE_NEWDECIMAL | ColumnType::MYSQL_TYPE_DECIMAL => real(&bytes),
        ColumnType::MYSQL_TYPE_BIT => bits(&bytes),
        ColumnType::MYSQL_TYPE_DATE
        | ColumnType::MYSQL_TYPE_NEWDATE
        | ColumnType::MYSQL_TYPE_TIME
        | ColumnType::MYSQL_TYPE_DATETIME
        | ColumnType::MYSQL_TYPE_TIMESTAMP => text(bytes),
        ColumnType::MYSQL_TYPE_GEOMETRY => Ok(Value::Blob(bytes)),
        // JSON of MySQL calls itself binary, and is text.
        ColumnType::MYSQL_TYPE_JSON => text(bytes),
        _ if column.character_set() == BINARY && !column.flags().contains(ColumnFlags::NUM_FLAG) => {
            Ok(Value::Blob(bytes))
        }
        _ => text(bytes),
    }
}

fn integer(bytes: &[u8]) -> Result<Value, Error> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number.map(Value::Integer).ok_or_else(too_great)
}

fn too_great() -> Error {
    Error::Invalid("a number does not fit into 64 bits with a sign".to_owned())
}

fn real(bytes: &[u8]) -> Result<Value, Error> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    number
        .map(Value::Real)
        .ok_or_else(|| Error::Invalid("a number cannot be read".to_owned()))
}

fn bits(bytes: &[u8]) -> Result<Value, Error> {
    let number = bytes
        .iter()
        .try_fold(0_u64, |number, byte| Some(number.checked_mul(256)? | u64::from(*byte)));
    number
        .and_then(|number| i64::try_from(number).ok())
        .map(Value::Integer)
        .ok_or_else(too_great)
}

/// A date or a time as the server writes it.
fn moment(column: &Column, value: &mysql_async::Value) -> String {
    let (mut text, micros) = match *value {
        mysql_async::Value::Date(year, month, day, hour, minute, second, micros) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            if column.column_type() == ColumnType::MYSQL_TYPE_DATE {
                return date;
            }
            (format!("{date} {hour:02}:{minute:02}:{second:02}"), micros)
        }
        mysql_async::Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if negative { "-" } else { "" };
            let hours = u64::from(days) * 24 + u64::from(hours);
            (format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"), micros)
        }
        _ => return String::new(),
    };
    let digits = usize::from(column.decimals()).min(6);
    if digits > 0 {
        let fraction = format!("{micros:06}");
        text.push('.');
        text.push_str(fraction.get(..digits).unwrap_or_default());
    }
    text
}

fn text(bytes: Vec<u8>) -> Result<Value, Error> {
    String::from_utf8(bytes)
        .map(Value::Text)
        .map_err(|_| Error::Invalid("a text is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value) -> String {
        let mut text = String::new();
        write(&mut text, 0, &value).unwrap();
        text
    }

    #[test]
    fn values_stand_alone_in_a_statement() {
        assert_eq!(written(Value::Null), " NULL");
        assert_eq!(written(Value::Integer(7)), " 7");
        assert_eq!(written(Value::Integer(i64::MIN)), " (-9223372036854775808)");
        assert_eq!(written(Value::Real(1.5)), " 1.5e0");
        assert_eq!(written(Value::Real(-1e300)), " (-1e300)");
        assert_eq!(written(Value::Text(r"it's \ '".to_owned())), r" 'it''s \ '''");
        assert_eq!(written(Value::Blob(vec![0, 255])), " x'00ff'");
    }

    #[test]
    fn what_is_not_a_finite_number_is_refused() {
        for number in [f64::NAN, f64::INFINITY] {
            assert!(write(&mut String::new(), 0, &Value::Real(number)).is_err());
        }
    }
}
