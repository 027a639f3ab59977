//! What travels over HTTP beside the arguments, and the records of `mpim:host/gateway` as JSON: the same JSON that their
//! types give. A caller travels in a header of its own, apart from what clients send, and so do the trace and the rest of the
//! context.

use call::{Caller, Connection, Context, Identity, Trace, Travelled, User};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use wire::error::EdgeError;
use wire::request::{ANONYMOUS, CALLER, CONTEXT, TRACEPARENT, spoken_for};

/// On behalf of whom the headers of an operator's request make it.
pub fn caller_of(headers: &HeaderMap) -> Result<Caller, EdgeError> {
    let callers: Vec<&[u8]> = headers.get_all(CALLER).iter().map(HeaderValue::as_bytes).collect();
    if callers.is_empty() {
        return Ok(Caller::System);
    }
    Ok(spoken_for(&callers)?.map(user_of).into())
}

/// The context that the headers of an operator's request bring along: it may take no longer than a call may here.
pub fn context_of(headers: &HeaderMap, caller: Caller, within: std::time::Duration) -> Result<Context, EdgeError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let trace = text(TRACEPARENT).and_then(Trace::parse);
    let Some(travelled) = text(CONTEXT) else {
        let mut context = Context::begin(caller, within);
        context.trace = trace.unwrap_or(context.trace);
        return Ok(context);
    };
    let travelled: Travelled = travelled
        .parse()
        .map_err(|error| EdgeError::permanent("invalid", format!("the header `{CONTEXT}`: {error}")))?;
    Ok(travelled.go_on(caller, trace, within))
}

/// The headers that a context goes out with.
pub(crate) fn headers_of(context: &Context) -> impl Iterator<Item = (&'static str, HeaderValue)> {
    let text = |text: String| HeaderValue::from_str(&text).ok();
    [
        (CALLER, caller_header(&context.caller)),
        (TRACEPARENT, text(context.trace.to_string())),
        (CONTEXT, text(context.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// The header that says who calls; none for the host itself.
fn caller_header(caller: &Caller) -> Option<HeaderValue> {
    let anonymous = HeaderValue::from_static(ANONYMOUS);
    let user = match caller {
        Caller::System => return None,
        Caller::Anonymous => return Some(anonymous),
        Caller::User(user) => user,
    };
    let text = caller_json(user).to_string();
    // Escaped text is visible ASCII; were it not, nobody would be spoken for.
    Some(HeaderValue::from_str(&visible(&text)).unwrap_or(anonymous))
}

/// The `caller` record of a user.
pub(crate) fn caller_json(user: &User) -> Value {
    json!(CallerRecord::from(user))
}

/// JSON whose characters beyond visible ASCII are escaped: the name of a device may hold any.
fn visible(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character == ' ' || character.is_ascii_graphic() {
            text.push(character);
        } else {
            let units = &mut [0; 2];
            for unit in character.encode_utf16(units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// A 64-bit number: decimal text, and read from a number as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a whole number, or its decimal digits in a string")]
        enum Written {
            Digits(String),
            Number(u64),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Digits(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Self).map_err(serde::de::Error::custom)
            }
            Written::Digits(_) => Err(serde::de::Error::custom("expected decimal digits in a string")),
        }
    }
}

#[derive(Serialize)]
struct CallerRecord {
    user: Number,
    session: Number,
    device: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection: Option<Number>,
}

impl From<&User> for CallerRecord {
    fn from(caller: &User) -> Self {
        Self {
            user: Number(caller.user),
            session: Number(caller.session),
            device: caller.device.to_string(),
            connection: caller.connection.map(Number),
        }
    }
}

fn user_of(caller: wire::request::Caller) -> User {
    User {
        user: caller.user,
        session: caller.session,
        device: caller.device.into(),
        connection: caller.connection,
    }
}

/// A connection, as it is told.
#[derive(Serialize)]
pub(crate) struct ConnectionRecord<'a> {
    id: Number,
    node: &'a str,
    user: Number,
    session: Number,
    device: &'a str,
    device_class: &'a str,
}

impl<'a> From<&'a Connection> for ConnectionRecord<'a> {
    fn from(connection: &'a Connection) -> Self {
        let identity = &connection.identity;
        Self {
            id: Number(connection.id),
            node: &connection.node,
            user: Number(identity.user),
            session: Number(identity.session),
            device: &identity.device,
            device_class: &identity.device_class,
        }
    }
}

/// An identity, as it is answered.
#[derive(Deserialize)]
pub(crate) struct IdentityRecord {
    user: Number,
    session: Number,
    device: String,
    device_class: String,
    expires_at: Number,
}

impl From<IdentityRecord> for Identity {
    fn from(record: IdentityRecord) -> Self {
        Self {
            user: record.user.0,
            session: record.session.0,
            device: record.device.into(),
            device_class: record.device_class.into(),
            expires_at: record.expires_at.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Result<Caller, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CALLER, HeaderValue::from_bytes(value).expect("a value"));
        }
        caller_of(&headers).map_err(|error| error.code)
    }

    #[test]
    fn whoever_is_spoken_for_is_read_as_it_was_written() {
        for connection in [None, Some(u64::MAX)] {
            let caller = Caller::User(User {
                user: u64::MAX,
                session: 0,
                device: "Ann's \u{1F980} \"téléphone\"\u{7f}\n".into(),
                connection,
            });
            let header = caller_header(&caller).expect("a header");
            assert!(header.to_str().is_ok(), "visible ASCII");
            assert_eq!(read(&[header.as_bytes()]), Ok(caller));
        }
        assert_eq!(caller_header(&Caller::Anonymous).expect("a header"), "anonymous");
        assert_eq!(read(&[b"anonymous"]), Ok(Caller::Anonymous));
        assert_eq!(caller_header(&Caller::System), None);
        assert_eq!(read(&[]), Ok(Caller::System));
    }

    #[test]
    fn nonsense_speaks_for_nobody() {
        for nonsense in [
            "",
            "Anonymous",
            "null",
            "[]",
            "{}",
            r#"{"user":"1","session":"2"}"#,
            r#"{"user":"-1","session":"2","device":"d"}"#,
            r#"{"user":"+1","session":"2","device":"d"}"#,
            r#"{"user":"","session":"2","device":"d"}"#,
            r#"{"user":1.5,"session":"2","device":"d"}"#,
            r#"{"user":"18446744073709551616","session":"2","device":"d"}"#,
            r#"{"user":"1","session":"2","device":"d","more":1}"#,
            r#"{"user":"1","session":"2","device":"d"} anonymous"#,
            r#"{"user":"1","session":"2","device":"\ud800"}"#,
        ] {
            assert_eq!(read(&[nonsense.as_bytes()]), Err("invalid".to_owned()), "{nonsense}");
        }
        assert_eq!(read(&[b"\xff"]), Err("invalid".to_owned()));
        assert_eq!(read(&[b"anonymous", b"anonymous"]), Err("invalid".to_owned()));
    }

    #[test]
    fn numbers_are_read_from_numbers_too() {
        let user = User {
            user: 1,
            session: 2,
            device: "d".into(),
            connection: None,
        };
        let text = br#"{"user":1,"session":"2","device":"d","connection":null}"#;
        assert_eq!(read(&[text]), Ok(Caller::User(user)));
    }

    #[test]
    fn a_context_arrives_as_it_went_out() {
        let within = std::time::Duration::from_secs(5);
        let mut context = Context::begin(Caller::Anonymous, within).below();
        context.attempt = 2;
        let mut headers = HeaderMap::new();
        headers.extend(headers_of(&context).map(|(name, value)| (http::HeaderName::from_static(name), value)));
        let caller = caller_of(&headers).expect("a caller");
        let arrived = context_of(&headers, caller, within).expect("a context");
        assert_eq!(
            (&arrived.caller, arrived.depth, arrived.attempt),
            (&Caller::Anonymous, 1, 2)
        );
        assert_eq!((arrived.trace, arrived.cohort), (context.trace, context.cohort));
        headers.insert(CONTEXT, HeaderValue::from_static("nonsense"));
        assert!(context_of(&headers, Caller::System, within).is_err());
    }
}
