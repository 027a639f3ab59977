//! What an HTTP request of a client says, whatever serves it.

use serde_json::{Map, Value};

use crate::error::EdgeError;
use crate::json::{JsonPath, Members, Mismatch};

/// The header by which an operator says on whose behalf it calls: the JSON of a `caller` record, or [`ANONYMOUS`].
pub const CALLER: &str = "mpim-caller";
/// The header by which an operator says in which context it calls: what is left of the deadline, how deep the call is, which
/// try it is, the cohort and the mode.
pub const CONTEXT: &str = "mpim-context";
/// The header of W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// A client that is not logged in.
pub const ANONYMOUS: &str = "anonymous";

/// Who makes a call; see `mpim:host/gateway`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: u64,
    /// The session.
    pub session: u64,
    /// The device of the session.
    pub device: String,
    /// The socket; none over HTTP.
    pub connection: Option<u64>,
}

impl Caller {
    fn read(value: Value) -> Result<Self, Mismatch> {
        let at = JsonPath::CALLER;
        let mut members = Members::of(value, &at)?;
        let caller = Self {
            user: members.take("user")?,
            session: members.take("session")?,
            device: members.take("device")?,
            connection: members.take("connection")?,
        };
        members.end()?;
        Ok(caller)
    }
}

/// For whom an operator speaks, by every [`CALLER`] that a request has, of which there must be one. None: for a client
/// that is not logged in.
pub fn spoken_for(callers: &[&[u8]]) -> Result<Option<Caller>, EdgeError> {
    let [value] = callers else {
        return Err(nonsense("it is there twice"));
    };
    if *value == ANONYMOUS.as_bytes() {
        return Ok(None);
    }
    let value = serde_json::from_slice(value).map_err(|error| nonsense(&error.to_string()))?;
    Caller::read(value)
        .map(Some)
        .map_err(|error| nonsense(&error.to_string()))
}

fn nonsense(reason: &str) -> EdgeError {
    EdgeError::permanent("invalid", format!("the header `{CALLER}` says no caller: {reason}"))
}

/// The token of an `Authorization` header.
pub fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// A body that says, by its `Content-Type` header, that it is something else than JSON is refused before it is read.
pub fn json_only(content_type: Option<&str>) -> Result<(), EdgeError> {
    let Some(kind) = content_type else {
        return Ok(());
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(EdgeError::permanent(
        "unsupported_media_type",
        "the body must be application/json",
    ))
}

/// The arguments in a body; an empty one has none.
pub fn arguments(body: &[u8]) -> Result<Value, EdgeError> {
    match body {
        b"" => Ok(Value::Object(Map::new())),
        bytes => serde_json::from_slice(bytes).map_err(|error| EdgeError::permanent("parse_error", error.to_string())),
    }
}

/// The function and the method of a path `/v1/FUNCTION/METHOD`.
pub fn path(path: &str) -> Option<(&str, &str)> {
    let (function, method) = path.strip_prefix("/v1/")?.split_once('/')?;
    (!function.is_empty() && !method.is_empty() && !method.contains('/')).then_some((function, method))
}

/// Whether a secret is the expected one, in a time that tells nothing but its length. An empty one never is.
pub fn is_secret(given: &str, expected: &str) -> bool {
    let differences = given
        .bytes()
        .zip(expected.bytes())
        .fold(0, |all, (one, other)| all | (one ^ other));
    !expected.is_empty() && given.len() == expected.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(Some("bEARER  a b ")), Some("a b"));
        assert_eq!(bearer(Some("Basic abc")), None);
        assert_eq!(bearer(Some("Bearer")), None);
        assert_eq!(bearer(None), None);
    }

    #[test]
    fn a_path_names_one_function_and_one_method() {
        assert_eq!(path("/v1/send/ack"), Some(("send", "ack")));
        for other in [
            "/v1/send",
            "/v1//ack",
            "/v1/send/",
            "/v1/send/ack/more",
            "/v2/send/ack",
            "/",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        assert!(is_secret("abc", "abc"));
        for wrong in ["", "ab", "abcd", "abd"] {
            assert!(!is_secret(wrong, "abc"), "{wrong}");
        }
        assert!(!is_secret("", ""));
    }

    #[test]
    fn an_empty_body_has_no_arguments_and_nonsense_is_no_json() {
        assert_eq!(arguments(b""), Ok(Value::Object(Map::new())));
        assert_eq!(
            arguments(b"{").map_err(|error| error.code),
            Err("parse_error".to_owned())
        );
    }

    #[test]
    fn a_body_may_say_nothing_or_that_it_is_json() {
        assert_eq!(json_only(None), Ok(()));
        assert_eq!(json_only(Some("Application/JSON; charset=utf-8")), Ok(()));
        assert!(json_only(Some("text/plain")).is_err());
    }
}
