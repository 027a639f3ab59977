//! The functions that a node calls, wherever they run: here, or elsewhere over HTTP, as the operator of there.
//!
//! What a client sends goes through [`super::calls`]. The calls that the host makes of its own have few kinds of
//! arguments and answers, which are known here in both shapes: as component values, and as JSON for functions elsewhere,
//! whose types this node has never seen.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use wasmtime::component::{Type, Val};

use super::error::{self, EdgeError};
use super::records::{By, ConnectionRecord, IdentityRecord, Number};
use crate::config::MethodName;
use crate::deployments::LoadError;
use crate::dispatch::Dispatch;
use crate::fault::Fault;
use crate::identity::{Connection, Identity};
use crate::remote::{Failure, Remote};
use crate::values::{self, ToRecord};

/// The functions of a node.
pub enum Functions {
    /// They run here.
    Here(Arc<Dispatch>),
    /// They run elsewhere.
    There(Box<Remote>),
}

/// Why functions elsewhere cannot be this node's.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// This node is not their operator.
    #[error("the functions at {0} refuse this node: its token (--remote-token) is not that of their operator")]
    Mistrusted(String),
    /// They are others than this node's manifest names, or take its token for a client's.
    #[error(
        "the functions at {url} do not fit the manifest of this node, or its token (--remote-token) is a client's: \
         {name}: {message}"
    )]
    Refused {
        /// Where they are.
        url: String,
        /// What was called.
        name: MethodName,
        /// What was answered.
        message: String,
    },
}

/// An argument of a call that the host makes of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument<'a> {
    Text(&'a str),
    Ids(&'a [u64]),
    Connection(&'a Connection),
    Connections(&'a [Arc<Connection>]),
}

/// What such a call answered.
#[derive(Debug)]
pub(super) enum Answer {
    Value(Option<Val>),
    Json(String),
}

/// The arguments by the names of the parameters.
pub(super) type Arguments<'a> = [(&'static str, Argument<'a>)];

impl Functions {
    /// The functions that run here.
    pub fn here(&self) -> Option<&Dispatch> {
        match self {
            Self::Here(dispatch) => Some(dispatch),
            Self::There(_) => None,
        }
    }

    /// Where they run, when that is elsewhere.
    pub fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Here(_) => None,
            Self::There(remote) => Some(remote.url()),
        }
    }

    /// Checks that a method that the manifest names can be called with arguments like these. What runs elsewhere says
    /// so when it is called.
    pub(super) fn check(
        &self,
        name: &MethodName,
        purpose: &'static str,
        arguments: &Arguments<'_>,
    ) -> Result<(), LoadError> {
        let Self::Here(dispatch) = self else { return Ok(()) };
        let method = dispatch.named(name, purpose)?;
        let fits = |((_, ty), (_, argument)): (&(String, Type), &(_, Argument<'_>))| argument.to_val(ty).is_some();
        if method.parameters.len() == arguments.len() && method.parameters.iter().zip(arguments).all(fits) {
            return Ok(());
        }
        let takes: Vec<_> = arguments.iter().map(|(_, argument)| argument.kind()).collect();
        let takes = match takes.as_slice() {
            [] => "no parameters".to_owned(),
            kinds => kinds.join(" and "),
        };
        Err(LoadError::MethodMismatch {
            name: method.full_name(),
            purpose,
            reason: format!("it must take {takes}"),
        })
    }

    /// Checks a timer's method.
    pub fn check_timer(&self, name: &MethodName) -> Result<(), LoadError> {
        self.check(name, "a timer", &[])
    }

    /// A timer's call. Whether it was done; a failure is logged.
    pub async fn tick(&self, name: &MethodName) -> bool {
        match self.system(name, &[]).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(method = %name, error = error.message, "a timer's call failed");
                false
            }
        }
    }

    /// Finds out whether functions elsewhere take calls of this node, by one that changes nothing: a list of no
    /// connections. Some that cannot be reached yet may come later.
    pub(super) async fn probe(&self, name: &MethodName, parameter: &'static str) -> Result<(), Unfit> {
        let Self::There(remote) = self else { return Ok(()) };
        let arguments = to_json(&[(parameter, Argument::Connections(&[]))]);
        let url = || remote.url().to_owned();
        match remote.call(&name.function, &name.method, arguments, None).await {
            Ok(_) => Ok(()),
            Err(failure) if is_mistrust(&failure) => Err(Unfit::Mistrusted(url())),
            Err(failure) => match EdgeError::from(failure) {
                error if error.retryable => {
                    tracing::warn!(
                        url = url(),
                        "functions cannot be called yet, this node begins without them"
                    );
                    Ok(())
                }
                error => Err(Unfit::Refused {
                    url: url(),
                    name: name.clone(),
                    message: error.message,
                }),
            },
        }
    }

    /// A call of the host itself, of any method.
    pub(super) async fn system(&self, name: &MethodName, arguments: &Arguments<'_>) -> Result<Answer, EdgeError> {
        match self {
            Self::Here(dispatch) => here(dispatch, name, arguments).await,
            Self::There(remote) => there(remote, name, arguments, By::System).await,
        }
    }

    /// A call that needs no right, with whose arguments all is well: what is answered is about them. Elsewhere it is made
    /// as if for a client that is not logged in, so that a token of this node that is refused is not taken for one of a
    /// client's.
    pub(super) async fn ask(&self, name: &MethodName, arguments: &Arguments<'_>) -> Result<Answer, EdgeError> {
        match self {
            Self::Here(dispatch) => here(dispatch, name, arguments).await,
            Self::There(remote) => there(remote, name, arguments, By::Client(None)).await,
        }
    }
}

async fn here(dispatch: &Dispatch, name: &MethodName, arguments: &Arguments<'_>) -> Result<Answer, EdgeError> {
    // Whether it is there, and what it takes, was checked at the start.
    let method = dispatch.method(&name.function, &name.method);
    let method = method.ok_or_else(|| Fault::UnknownMethod(name.to_string()))?;
    let given = method.parameters.iter().zip(arguments);
    let values = given.map(|((_, ty), (_, argument))| argument.to_val(ty)).collect();
    let values: Option<Vec<Val>> = values;
    match dispatch.system(method, values.unwrap_or_default()).await? {
        Ok(value) => Ok(Answer::Value(value)),
        Err(error) => Err(error::answered(error.as_ref())),
    }
}

async fn there(remote: &Remote, name: &MethodName, arguments: &Arguments<'_>, by: By) -> Result<Answer, EdgeError> {
    let is_system = by == By::System;
    let called = remote.call(&name.function, &name.method, to_json(arguments), by.header());
    match called.await {
        Ok(text) => Ok(Answer::Json(text)),
        Err(failure) if is_system && is_mistrust(&failure) => Err(Failure::Mistrusted.into()),
        Err(failure) => Err(failure.into()),
    }
}

/// The host itself has no caller, and is not asked for one by what it calls: it was not heard as the operator.
fn is_mistrust(failure: &Failure) -> bool {
    match failure {
        Failure::Mistrusted => true,
        Failure::Refused(error) => error.code == "unauthenticated",
        Failure::Fault(_) => false,
    }
}

impl From<Failure> for EdgeError {
    /// A client can do nothing about a token of this node; its operator can, and is told in the log.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Fault(fault) => fault.into(),
            Failure::Mistrusted => {
                tracing::error!("the functions elsewhere refuse this node: its token is not that of their operator");
                Fault::Unavailable("the functions cannot be called by this node".to_owned()).into()
            }
        }
    }
}

fn to_json(arguments: &Arguments<'_>) -> String {
    let named = arguments
        .iter()
        .map(|(name, argument)| ((*name).to_owned(), argument.to_json()));
    Value::Object(named.collect::<Map<_, _>>()).to_string()
}

impl Argument<'_> {
    /// The value for a type; none when it does not fit.
    pub(super) fn to_val(self, ty: &Type) -> Option<Val> {
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
    fn kind(self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Ids(_) => "a list of u64",
            Self::Connection(_) => "a `connection`",
            Self::Connections(_) => "a list of `connection`",
        }
    }
}

impl Answer {
    /// The identity that it is; none when it is something else.
    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::Value(value) => values::identity(value.as_ref()?),
            Self::Json(text) => read::<IdentityRecord>(text).map(Identity::from),
        }
    }

    /// The texts of a list.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Value(value) => values::list(value.as_ref()?, |text| values::text(text).map(str::to_owned)),
            Self::Json(text) => read(text),
        }
    }

    /// The numbers of a list.
    pub(super) fn ids(&self) -> Option<Vec<u64>> {
        match self {
            Self::Value(value) => values::list(value.as_ref()?, values::number),
            Self::Json(text) => Some(read::<Vec<Number>>(text)?.into_iter().map(|number| number.0).collect()),
        }
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}
