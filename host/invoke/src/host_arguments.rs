//! Arguments of the calls that the host makes of its own: a few kinds, known in both shapes, as component values and as
//! JSON for remote functions, whose types this node has never seen.

use std::sync::Arc;

use call::Connection;
use runtime::values::ToRecord;
use runtime::{Type, Val};
use serde_json::{Map, Value, json};

use crate::records::ConnectionRecord;

/// An argument of a call that the host makes of its own.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// A text.
    Text(&'a str),
    /// Ids.
    Ids(&'a [u64]),
    /// A connection.
    Connection(&'a Connection),
    /// Connections.
    Connections(&'a [Arc<Connection>]),
}

/// Arguments by the names of the parameters, which are what remote functions are called with.
pub type HostArguments<'a> = [(&'static str, Argument<'a>)];

/// An object of them.
pub(crate) fn to_json(arguments: &HostArguments<'_>) -> Value {
    let named = arguments
        .iter()
        .map(|(name, argument)| ((*name).to_owned(), argument.to_json()));
    Value::Object(named.collect::<Map<_, _>>())
}

impl Argument<'_> {
    /// The value for a type; none when it does not fit.
    pub(crate) fn to_val(self, ty: &Type) -> Option<Val> {
        match (self, ty) {
            (Self::Text(text), Type::String) => Some(Val::String(text.to_owned())),
            (Self::Ids(ids), Type::List(list)) if list.ty() == Type::U64 => {
                Some(Val::List(ids.iter().copied().map(Val::U64).collect()))
            }
            (Self::Connection(connection), ty) => connection.to_val(ty),
            (Self::Connections(connections), Type::List(list)) => {
                let records = connections.iter().map(|connection| connection.to_val(&list.ty()));
                records.collect::<Option<Vec<_>>>().map(Val::List)
            }
            _ => None,
        }
    }

    fn to_json(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Ids(ids) => ids.iter().map(|id| Value::String(id.to_string())).collect(),
            Self::Connection(connection) => json!(ConnectionRecord::from(connection)),
            Self::Connections(connections) => {
                let records = connections.iter().map(|connection| &**connection);
                records
                    .map(|connection| json!(ConnectionRecord::from(connection)))
                    .collect()
            }
        }
    }

    /// What a manifest's author is told that a method must take.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Ids(_) => "a list of u64",
            Self::Connection(_) => "a `connection`",
            Self::Connections(_) => "a list of `connection`",
        }
    }
}
