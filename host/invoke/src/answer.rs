//! What a method answered when all was well, wherever it ran.

use std::sync::Arc;

use call::Identity;
use runtime::{Method, Val, json, values};
use serde::de::DeserializeOwned;
use wire::error::EdgeError;

use crate::error::answered;
use crate::parts::Reply;
use crate::records::{IdentityRecord, Number};
use crate::target::Target;

/// The answer of a call.
pub struct Answer(Inner);

enum Inner {
    Value(Option<Val>, Arc<Method>),
    Json(String),
}

impl Answer {
    /// The answer in what came back, or the error that the function answered.
    pub(crate) fn of(target: &Target, reply: Reply) -> Result<Self, EdgeError> {
        match (reply, &target.binding) {
            (Reply::Value(value), Some(method)) => Self::of_value(runtime::answer(value), method),
            (Reply::Value(_), None) => Err(crate::error::internal()),
            (Reply::Json(outcome), _) => outcome.map(Self::of_json),
        }
    }

    pub(crate) fn of_value(answer: runtime::Answer, method: &Arc<Method>) -> Result<Self, EdgeError> {
        match answer {
            Ok(value) => Ok(Self(Inner::Value(value, method.clone()))),
            Err(error) => Err(answered(error.as_ref())),
        }
    }

    pub(crate) fn of_json(text: String) -> Self {
        Self(Inner::Json(text))
    }

    /// As JSON of so many bytes at most.
    pub fn into_json(self, most: usize) -> Result<Vec<u8>, EdgeError> {
        let text = match self.0 {
            Inner::Json(text) => text.into_bytes(),
            Inner::Value(value, method) => {
                let mut text = Vec::with_capacity(128);
                match (&value, method.ok_type()) {
                    (Some(value), Some(ty)) => json::write(value, &ty, &mut text),
                    _ => text.extend_from_slice(b"null"),
                }
                text
            }
        };
        if text.len() > most {
            return Err(EdgeError::answer_too_large(most));
        }
        Ok(text)
    }

    /// The value of a function that runs here.
    pub fn into_value(self) -> Option<Val> {
        match self.0 {
            Inner::Value(value, _) => value,
            Inner::Json(_) => None,
        }
    }

    /// The identity that it is; none when it is something else.
    pub fn identity(&self) -> Option<Identity> {
        match &self.0 {
            Inner::Value(value, _) => values::identity(value.as_ref()?),
            Inner::Json(text) => read::<IdentityRecord>(text).map(Identity::from),
        }
    }

    /// The texts of a list.
    pub fn texts(&self) -> Option<Vec<String>> {
        match &self.0 {
            Inner::Value(value, _) => values::list(value.as_ref()?, |text| values::text(text).map(str::to_owned)),
            Inner::Json(text) => read(text),
        }
    }

    /// The numbers of a list.
    pub fn ids(&self) -> Option<Vec<u64>> {
        match &self.0 {
            Inner::Value(value, _) => values::list(value.as_ref()?, values::number),
            Inner::Json(text) => Some(read::<Vec<Number>>(text)?.into_iter().map(|number| number.0).collect()),
        }
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}
