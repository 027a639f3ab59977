//! Values of MySQL as Spin gives and takes them: the type of a column decides. It refuses to know the statement.

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::prelude::FromValue;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Failure, Row};

/// `db-data-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(super) enum Kind {
    #[component(name = "boolean")]
    #[expect(dead_code, reason = "no column of MySQL is of this type")]
    Boolean,
    #[component(name = "int8")]
    Int8,
    #[component(name = "int16")]
    Int16,
    #[component(name = "int32")]
    Int32,
    #[component(name = "int64")]
    Int64,
    #[component(name = "uint8")]
    Uint8,
    #[component(name = "uint16")]
    Uint16,
    #[component(name = "uint32")]
    Uint32,
    #[component(name = "uint64")]
    Uint64,
    #[component(name = "floating32")]
    Floating32,
    #[component(name = "floating64")]
    Floating64,
    #[component(name = "str")]
    Str,
    #[component(name = "binary")]
    Binary,
    #[component(name = "other")]
    Other,
}

/// `column`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct Column {
    name: String,
    #[component(name = "data-type")]
    kind: Kind,
}

/// `db-value`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum Value {
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "int8")]
    Int8(i8),
    #[component(name = "int16")]
    Int16(i16),
    #[component(name = "int32")]
    Int32(i32),
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "uint8")]
    Uint8(u8),
    #[component(name = "uint16")]
    Uint16(u16),
    #[component(name = "uint32")]
    Uint32(u32),
    #[component(name = "uint64")]
    Uint64(u64),
    #[component(name = "floating32")]
    Floating32(f32),
    #[component(name = "floating64")]
    Floating64(f64),
    #[component(name = "str")]
    Str(String),
    #[component(name = "binary")]
    Binary(Vec<u8>),
    #[component(name = "db-null")]
    Null,
    #[component(name = "unsupported")]
    Unsupported,
}

/// `parameter-value`.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum Parameter {
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "int8")]
    Int8(i8),
    #[component(name = "int16")]
    Int16(i16),
    #[component(name = "int32")]
    Int32(i32),
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "uint8")]
    Uint8(u8),
    #[component(name = "uint16")]
    Uint16(u16),
    #[component(name = "uint32")]
    Uint32(u32),
    #[component(name = "uint64")]
    Uint64(u64),
    #[component(name = "floating32")]
    Floating32(f32),
    #[component(name = "floating64")]
    Floating64(f64),
    #[component(name = "str")]
    Str(String),
    #[component(name = "binary")]
    Binary(Vec<u8>),
    #[component(name = "db-null")]
    Null,
}

impl From<Parameter> for mysql_async::Value {
    fn from(parameter: Parameter) -> Self {
        match parameter {
            Parameter::Boolean(truth) => truth.into(),
            Parameter::Int8(number) => number.into(),
            Parameter::Int16(number) => number.into(),
            Parameter::Int32(number) => number.into(),
            Parameter::Int64(number) => number.into(),
            Parameter::Uint8(number) => number.into(),
            Parameter::Uint16(number) => number.into(),
            Parameter::Uint32(number) => number.into(),
            Parameter::Uint64(number) => number.into(),
            Parameter::Floating32(number) => number.into(),
            Parameter::Floating64(number) => number.into(),
            Parameter::Str(text) => text.into(),
            Parameter::Binary(bytes) => bytes.into(),
            Parameter::Null => Self::NULL,
        }
    }
}

impl From<&mysql_async::Column> for Column {
    fn from(column: &mysql_async::Column) -> Self {
        let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
        // Texts whose collation compares bytes have this flag too.
        let binary = column.flags().contains(ColumnFlags::BINARY_FLAG);
        Self {
            name: column.name_str().into_owned(),
            kind: kind(column.column_type(), unsigned, binary),
        }
    }
}

/// The type of a column. Decimals, dates and times have none: their values can be read only where they are null.
fn kind(column: ColumnType, unsigned: bool, binary: bool) -> Kind {
    match (column, unsigned) {
        (ColumnType::MYSQL_TYPE_DOUBLE, _) => Kind::Floating64,
        (ColumnType::MYSQL_TYPE_FLOAT, _) => Kind::Floating32,
        (ColumnType::MYSQL_TYPE_LONG | ColumnType::MYSQL_TYPE_INT24, false) => Kind::Int32,
        (ColumnType::MYSQL_TYPE_LONG | ColumnType::MYSQL_TYPE_INT24, true) => Kind::Uint32,
        (ColumnType::MYSQL_TYPE_LONGLONG, false) => Kind::Int64,
        (ColumnType::MYSQL_TYPE_LONGLONG, true) => Kind::Uint64,
        (ColumnType::MYSQL_TYPE_SHORT, false) => Kind::Int16,
        (ColumnType::MYSQL_TYPE_SHORT, true) => Kind::Uint16,
        (ColumnType::MYSQL_TYPE_TINY, false) => Kind::Int8,
        (ColumnType::MYSQL_TYPE_TINY, true) => Kind::Uint8,
        (ColumnType::MYSQL_TYPE_BLOB | ColumnType::MYSQL_TYPE_STRING | ColumnType::MYSQL_TYPE_VAR_STRING, _) => {
            if binary {
                Kind::Binary
            } else {
                Kind::Str
            }
        }
        _ => Kind::Other,
    }
}

/// A row; one value that cannot be given spoils it.
pub(super) fn row(mut row: mysql_async::Row, columns: &[Column]) -> Result<Row, Failure> {
    let values = columns.iter().enumerate().map(|(index, column)| match row.take(index) {
        None | Some(mysql_async::Value::NULL) => Ok(Value::Null),
        Some(value) => given(value, column),
    });
    values.collect()
}

fn given(value: mysql_async::Value, column: &Column) -> Result<Value, Failure> {
    match column.kind {
        Kind::Boolean => read(value).map(Value::Boolean),
        Kind::Int8 => read(value).map(Value::Int8),
        Kind::Int16 => read(value).map(Value::Int16),
        Kind::Int32 => read(value).map(Value::Int32),
        Kind::Int64 => read(value).map(Value::Int64),
        Kind::Uint8 => read(value).map(Value::Uint8),
        Kind::Uint16 => read(value).map(Value::Uint16),
        Kind::Uint32 => read(value).map(Value::Uint32),
        Kind::Uint64 => read(value).map(Value::Uint64),
        Kind::Floating32 => read(value).map(Value::Floating32),
        Kind::Floating64 => read(value).map(Value::Floating64),
        Kind::Str => read(value).map(Value::Str),
        Kind::Binary => read(value).map(Value::Binary),
        Kind::Other => Err(Failure::ValueConversionFailed(format!(
            "Cannot convert value {value:?} in column {} data type DbDataType::Other",
            column.name
        ))),
    }
}

fn read<T: FromValue>(value: mysql_async::Value) -> Result<T, Failure> {
    mysql_async::from_value_opt(value).map_err(|error| Failure::ValueConversionFailed(error.to_string()))
}

/// What a value counts towards the most that a query may give.
pub(super) fn size(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Str(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
            _ => 0,
        }
}
