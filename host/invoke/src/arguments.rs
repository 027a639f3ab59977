//! What a caller wants to call a method with, made into what its endpoint takes.

use call::{Caller, Fault};
use runtime::values::ToRecord;
use runtime::{Type, Val, json};
use serde_json::{Map, Value};
use wire::error::EdgeError;

use crate::endpoint::Kind;
use crate::error::{internal, refused};
use crate::host_arguments::{HostArguments, to_json};
use crate::parts::Parts;
use crate::records::caller_json;
use crate::target::Target;

/// The arguments of a call, without the caller.
#[derive(Debug)]
pub enum Input<'a> {
    /// Those of a client: an object with a key for each parameter.
    Json(Value),
    /// Those of the host itself.
    Host(&'a HostArguments<'a>),
    /// Component values in the order of the parameters, of a function that runs here.
    Values(Vec<Val>),
}

impl Target {
    /// The arguments in the shape of the endpoint, still without the caller.
    pub(crate) fn prepare(&self, input: Input<'_>) -> Result<Parts, EdgeError> {
        match (&self.binding, input) {
            (Some(method), Input::Json(value)) => {
                Ok(Parts::Values(json::arguments(method.client_parameters(), value)?))
            }
            (Some(method), Input::Host(arguments)) => {
                let given = method.parameters.iter().zip(arguments);
                let values: Option<Vec<Val>> = given.map(|((_, ty), (_, argument))| argument.to_val(ty)).collect();
                // Whether they fit was checked at the start.
                values.map(Parts::Values).ok_or_else(internal)
            }
            (Some(_), Input::Values(values)) => Ok(Parts::Values(values)),
            (None, Input::Values(_)) => Err(internal()),
            (None, Input::Json(value)) => Ok(Parts::Json(value)),
            (None, Input::Host(arguments)) => Ok(Parts::Json(to_json(arguments))),
        }
    }

    /// The arguments with the caller, where the method takes one.
    pub(crate) fn with_caller(&self, parts: Parts, caller: &Caller) -> Result<Parts, EdgeError> {
        let Parts::Values(mut values) = parts else {
            return Ok(parts);
        };
        if let Some(caller) = self.caller_value(caller) {
            values.insert(0, caller?);
        }
        Ok(Parts::Values(values))
    }

    /// The caller as the value of the first parameter; none where there is no such parameter, or no user.
    fn caller_value(&self, caller: &Caller) -> Option<Result<Val, EdgeError>> {
        let method = self.binding.as_ref().filter(|method| method.takes_caller)?;
        let (user, (_, ty)) = (caller.user()?, method.parameters.first()?);
        // Whether the record fits was checked when the function was linked.
        Some(
            user.to_val(ty)
                .ok_or_else(|| refused(Fault::Trapped(self.signature.full_name()))),
        )
    }

    /// The arguments of one call as one element of the list that its batch method takes: a record of all of them, the
    /// caller among them, or the only one.
    pub(crate) fn element(&self, parts: &Parts, caller: &Caller) -> Result<Element, EdgeError> {
        match parts {
            Parts::Values(values) => {
                let caller = self.caller_value(caller).transpose()?;
                if let (None, [only]) = (&caller, values.as_slice()) {
                    return Ok(Element::Value(only.clone()));
                }
                let method = self.binding.as_ref().ok_or_else(internal)?;
                let names = method.parameters.iter().map(|(name, _)| name.clone());
                let values = caller.into_iter().chain(values.iter().cloned());
                Ok(Element::Value(Val::Record(names.zip(values).collect())))
            }
            Parts::Json(Value::Object(members)) => match (caller.user(), members.values().next()) {
                (Some(user), _) => {
                    let mut members = members.clone();
                    members.insert("caller".to_owned(), caller_json(user));
                    Ok(Element::Json(Value::Object(members)))
                }
                (None, Some(only)) if members.len() == 1 => Ok(Element::Json(only.clone())),
                _ => Err(internal()),
            },
            Parts::Json(_) => Err(EdgeError::permanent("invalid", "params: expected an object")),
        }
    }

    /// The arguments of a batch method.
    pub(crate) fn of_elements(&self, elements: Vec<Element>) -> Result<Parts, EdgeError> {
        if let Kind::Local(_) = self.endpoint.kind {
            let values = elements.into_iter().map(|element| match element {
                Element::Value(value) => Some(value),
                Element::Json(_) => None,
            });
            let values: Option<Vec<Val>> = values.collect();
            return values
                .map(|values| Parts::Values(vec![Val::List(values)]))
                .ok_or_else(internal);
        }
        let values = elements.into_iter().map(|element| match element {
            Element::Json(value) => Some(value),
            Element::Value(_) => None,
        });
        let values: Value = Value::Array(values.collect::<Option<_>>().ok_or_else(internal)?);
        Ok(Parts::Json(Value::Object(Map::from_iter([(CALLS.to_owned(), values)]))))
    }
}

/// One call as an element of what a batch method takes.
#[derive(Debug)]
pub(crate) enum Element {
    Value(Val),
    Json(Value),
}

/// The only parameter of every batch method.
pub(crate) const CALLS: &str = "calls";

/// Whether a caller can be filled in for a method, or the field that the host does not know of.
pub(crate) fn fits_caller(ty: &Type) -> bool {
    let anyone = call::User {
        user: 0,
        session: 0,
        device: "".into(),
        connection: None,
    };
    anyone.to_val(ty).is_some()
}
