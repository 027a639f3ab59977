//! What a request asks, and who asks it.

use wire::Value;
use wire::error::EdgeError;
use wire::request::{CALLER, Caller, arguments, bearer, is_secret, json_only, spoken_for};

/// What can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its name in WIT.
    pub name: &'static str,
    /// Whether clients may call it.
    pub public: bool,
    /// Whether it is for logged-in users.
    pub takes_caller: bool,
}

/// On whose behalf a call is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The operator, in person.
    System,
    /// A client; none: one that is not logged in.
    Client(Option<Caller>),
    /// A client with a token that is still to be verified.
    Token(String),
}

/// The parts of a request that count. A header that is no text is as good as an empty one.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The function and the method of its path.
    pub names: (&'a str, &'a str),
    /// Its `Content-Type`.
    pub content_type: Option<&'a str>,
    /// Its `Authorization`.
    pub authorization: Option<&'a str>,
    /// Every `mpim-caller` that it has.
    pub callers: &'a [&'a [u8]],
    /// Its body.
    pub body: &'a [u8],
}

impl Parts<'_> {
    /// The arguments but the caller.
    pub(crate) fn arguments(&self, most: usize) -> Result<Value, EdgeError> {
        if self.body.len() > most {
            return Err(EdgeError::body_too_large(most));
        }
        json_only(self.content_type)?;
        arguments(self.body)
    }

    /// Whether the operator makes the call in person.
    pub(crate) fn is_of_system(&self, operator_token: &str) -> bool {
        let token = bearer(self.authorization);
        self.callers.is_empty() && token.is_some_and(|token| is_secret(token, operator_token))
    }

    /// Who makes the call. Whoever but the operator names a caller is refused rather than heard without it.
    pub(crate) fn by(&self, operator_token: &str) -> Result<By, EdgeError> {
        let token = bearer(self.authorization);
        if token.is_some_and(|token| is_secret(token, operator_token)) {
            return self.on_behalf();
        }
        if !self.callers.is_empty() {
            let message = format!("the header `{CALLER}` is for the operator");
            return Err(EdgeError::not_the_operator(message));
        }
        Ok(match token {
            Some(token) => By::Token(token.to_owned()),
            None => By::Client(None),
        })
    }

    fn on_behalf(&self) -> Result<By, EdgeError> {
        match self.callers {
            [] => Ok(By::System),
            callers => Ok(By::Client(spoken_for(callers)?)),
        }
    }
}
