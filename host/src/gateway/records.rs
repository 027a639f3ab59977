//! The records of `mpim:host/gateway` as JSON, for functions that run elsewhere: the same JSON that their types give.
//!
//! A caller travels in a header of its own, apart from what clients send.

use axum::http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wire::request::{ANONYMOUS, CALLER, spoken_for};

use super::error::EdgeError;
use crate::identity::{Caller, Connection, Identity};

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// The host itself, or its operator.
    System,
    /// A client; none: one that is not logged in.
    Client(Option<Caller>),
}

impl By {
    /// On behalf of whom the headers of an operator's request make it.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, EdgeError> {
        let callers: Vec<&[u8]> = headers.get_all(CALLER).iter().map(HeaderValue::as_bytes).collect();
        if callers.is_empty() {
            return Ok(Self::System);
        }
        Ok(Self::Client(spoken_for(&callers)?.map(Caller::from)))
    }

    /// The header that says so; none for the host itself.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let Self::Client(caller) = self else { return None };
        let anonymous = HeaderValue::from_static(ANONYMOUS);
        let Some(caller) = caller else { return Some(anonymous) };
        let text = serde_json::to_string(&CallerRecord::from(caller)).unwrap_or_default();
        // Escaped text is visible ASCII; were it not, nobody would be spoken for.
        Some(HeaderValue::from_str(&visible(&text)).unwrap_or(anonymous))
    }
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
pub(super) struct Number(pub(super) u64);

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

impl From<&Caller> for CallerRecord {
    fn from(caller: &Caller) -> Self {
        Self {
            user: Number(caller.user),
            session: Number(caller.session),
            device: caller.device.to_string(),
            connection: caller.connection.map(Number),
        }
    }
}

impl From<wire::request::Caller> for Caller {
    fn from(caller: wire::request::Caller) -> Self {
        Self {
            user: caller.user,
            session: caller.session,
            device: caller.device.into(),
            connection: caller.connection,
        }
    }
}

/// A connection, as it is told.
#[derive(Serialize)]
pub(super) struct ConnectionRecord<'a> {
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
pub(super) struct IdentityRecord {
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

    fn read(values: &[&[u8]]) -> Result<By, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CALLER, HeaderValue::from_bytes(value).expect("a value"));
        }
        By::read(&headers).map_err(|error| error.code)
    }

    #[test]
    fn whoever_is_spoken_for_is_read_as_it_was_written() {
        for connection in [None, Some(u64::MAX)] {
            let caller = Caller {
                user: u64::MAX,
                session: 0,
                device: "Ann's \u{1F980} \"téléphone\"\u{7f}\n".into(),
                connection,
            };
            let by = By::Client(Some(caller));
            let header = by.header().expect("a header");
            assert!(header.to_str().is_ok(), "visible ASCII");
            assert_eq!(read(&[header.as_bytes()]), Ok(by));
        }
        let anonymous = By::Client(None);
        assert_eq!(anonymous.header().expect("a header"), "anonymous");
        assert_eq!(read(&[b"anonymous"]), Ok(anonymous));
        assert_eq!(By::System.header(), None);
        assert_eq!(read(&[]), Ok(By::System));
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
        let caller = Caller {
            user: 1,
            session: 2,
            device: "d".into(),
            connection: None,
        };
        let text = br#"{"user":1,"session":"2","device":"d","connection":null}"#;
        assert_eq!(read(&[text]), Ok(By::Client(Some(caller))));
    }
}
