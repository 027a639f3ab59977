//! The JSON that a client and a server exchange: JSON-RPC frames, and those records of `wit/im` that the
//! client commands read. Reading borrows from the frame, because a replay reads millions of them. It knows
//! no socket and no rule.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::error::{Error, Refusal};

/// The notification after which a device pulls as after a connect.
pub(crate) const RESYNC: &str = "connection.resync";

/// A 64-bit integer: a decimal string in JSON. Reading takes a number as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Int(pub(crate) u64);

impl Serialize for Int {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Decimal;
        impl Visitor<'_> for Decimal {
            type Value = Int;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an unsigned integer or its decimal string")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Int, E> {
                Ok(Int(value))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int, E> {
                text.parse()
                    .map(Int)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        input.deserialize_any(Decimal)
    }
}

impl fmt::Display for Int {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Writes a call.
pub(crate) fn request<P: Serialize>(id: u64, method: &str, params: &P) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Request<'a, P> {
        jsonrpc: &'static str,
        id: u64,
        method: &'a str,
        params: &'a P,
    }
    serde_json::to_string(&Request {
        jsonrpc: "2.0",
        id,
        method,
        params,
    })
    .map_err(|error| Error::Unreadable(format!("parameters of {method}: {error}")))
}

/// A frame of the server.
pub(crate) enum Frame<'a> {
    /// The answer to the call of this id; an absent result is that of a method which gives nothing.
    Answer {
        /// The id of the call.
        id: u64,
        /// What the method gave, or why it did not.
        result: Result<Option<&'a RawValue>, Refusal>,
    },
    /// What the server says unasked.
    Notification {
        /// `message`, `receipt` and so on.
        name: Cow<'a, str>,
        /// Of the shape of [`Notice`].
        params: Params<'a>,
    },
}

impl<'a> Frame<'a> {
    /// Reads a frame. An error in it that answers no call is a refusal of the whole.
    pub(crate) fn read(text: &'a str) -> Result<Self, Error> {
        if let Some(notification) = Self::notification(text) {
            return Ok(notification);
        }
        let envelope: Envelope<'a> = read(text)?;
        match (envelope.method, envelope.id, envelope.error) {
            (Some(name), None, _) => Ok(Self::Notification {
                name,
                params: Params(envelope.params.map_or("null", RawValue::get)),
            }),
            (None, Some(id), None) => Ok(Self::Answer {
                id,
                result: Ok(envelope.result),
            }),
            (None, Some(id), Some(error)) => Ok(Self::Answer {
                id,
                result: Err(error.refusal()),
            }),
            (None, None, Some(error)) => Err(Error::Refused(error.refusal())),
            _ => Err(Error::Unreadable(
                "a frame that is neither answer nor notification".to_owned(),
            )),
        }
    }
}

impl<'a> Frame<'a> {
    /// The short way for what comes by the million: a notification whose members stand in the usual order is read
    /// without looking for the end of its parameters first.
    fn notification(text: &'a str) -> Option<Self> {
        let (name, rest) = text.strip_prefix(r#"{"jsonrpc":"2.0","method":""#)?.split_once('"')?;
        let params = rest.strip_prefix(r#","params":"#).filter(|_| !name.contains('\\'))?;
        Some(Self::Notification {
            name: Cow::Borrowed(name),
            params: Params(params),
        })
    }
}

/// The parameters of a notification, not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// Reads them. What stands behind them in the frame is not looked at.
    pub(crate) fn read<T: Deserialize<'a>>(self) -> Result<T, Error> {
        T::deserialize(&mut serde_json::Deserializer::from_str(self.0))
            .map_err(|error| Error::Unreadable(error.to_string()))
    }
}

/// Reads a value of the server.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Unreadable(error.to_string()))
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<RpcErrorData>,
}

#[derive(Deserialize)]
struct RpcErrorData {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    retryable: bool,
}

impl RpcError {
    /// The caller fills in what was asked.
    fn refusal(self) -> Refusal {
        let (code, retryable) = self.data.map_or((None, false), |data| (data.code, data.retryable));
        Refusal {
            what: "the request".to_owned(),
            code: code.unwrap_or_else(|| self.code.to_string()),
            message: self.message,
            retryable,
        }
    }
}

/// The parameters of a notification: its body, and its place in the inbox where it has one.
#[derive(Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
pub(crate) struct Notice<B> {
    #[serde(default)]
    pub(crate) cursor: Option<Int>,
    pub(crate) body: B,
}

/// `types.message`.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) id: Int,
    pub(crate) conversation: Int,
    pub(crate) seq: Int,
    pub(crate) sender: Int,
    #[serde(default)]
    pub(crate) to: Option<Int>,
    #[serde(default)]
    pub(crate) group: Option<Int>,
    #[serde(borrow)]
    pub(crate) client_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) content: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) qos: Cow<'a, str>,
    pub(crate) created_at: Int,
    #[serde(default)]
    pub(crate) recalled_at: Option<Int>,
}

/// `types.receipt`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) message: Int,
    pub(crate) conversation: Int,
    pub(crate) seq: Int,
}

/// `notify.waiting`, of which only the cursor of its notification is wanted.
#[derive(Debug, Deserialize)]
pub(crate) struct Waiting {}

/// `notify.state-change`.
#[derive(Debug, Deserialize)]
pub(crate) struct StateChange<'a> {
    pub(crate) by: Int,
    pub(crate) messages: Vec<Int>,
    #[serde(borrow)]
    pub(crate) state: Cow<'a, str>,
}

/// `notify.recall`.
#[derive(Debug, Deserialize)]
pub(crate) struct Recall {
    pub(crate) conversation: Int,
    pub(crate) by: Int,
    pub(crate) at: Int,
}

/// `notify.presence-change`.
#[derive(Debug, Deserialize)]
pub(crate) struct PresenceChange {
    pub(crate) user: Int,
    pub(crate) online: bool,
}

/// `notify.kick`.
#[derive(Debug, Deserialize)]
pub(crate) struct Kick {
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) by_device: Option<String>,
}

/// `notify.contact-change`.
#[derive(Debug, Deserialize)]
pub(crate) struct ContactChange<'a> {
    pub(crate) user: Int,
    #[serde(borrow)]
    pub(crate) change: Cow<'a, str>,
}

/// `notify.group-change`.
#[derive(Debug, Deserialize)]
pub(crate) struct GroupChange<'a> {
    pub(crate) group: Int,
    #[serde(borrow)]
    pub(crate) change: Cow<'a, str>,
    pub(crate) user: Int,
}

/// `pull-offline.page`.
#[derive(Debug, Deserialize)]
pub(crate) struct InboxPage<'a> {
    #[serde(borrow)]
    pub(crate) entries: Vec<Entry<'a>>,
    pub(crate) next: Int,
    pub(crate) more: bool,
}

/// `pull-offline.entry`.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry<'a> {
    pub(crate) cursor: Int,
    #[serde(borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) message: Message<'a>,
}

/// `group-pull.page`.
#[derive(Debug, Deserialize)]
pub(crate) struct GroupPage<'a> {
    #[serde(borrow)]
    pub(crate) messages: Vec<Message<'a>>,
    pub(crate) next: Int,
    pub(crate) more: bool,
}

/// `group-pull.unread-group`.
#[derive(Debug, Deserialize)]
pub(crate) struct UnreadGroup {
    pub(crate) group: Int,
    pub(crate) cursor: Int,
}

/// `pull-offline.conversation`.
#[derive(Debug, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) id: Int,
    #[serde(default)]
    pub(crate) peer: Option<Int>,
}

/// `login.grant`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Grant {
    pub(crate) user: Int,
    pub(crate) token: String,
}

/// `contacts.user`.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) id: Int,
    pub(crate) name: String,
}

/// `contacts.contact`.
#[derive(Debug, Deserialize)]
pub(crate) struct Contact {
    pub(crate) user: Int,
    pub(crate) name: String,
}

/// `groups.group`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: Int,
    pub(crate) name: String,
    pub(crate) members: u32,
    pub(crate) fan_out: String,
}

/// `presence.status`.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) online: bool,
    #[serde(default)]
    pub(crate) device_classes: Vec<String>,
    pub(crate) last_seen: Option<Int>,
}

#[cfg(test)]
mod tests {
    use super::{Error, Frame, Int, Message, Notice, read, request};

    const PUSHED: &str = r#"{"jsonrpc":"2.0","method":"message","params":{"cursor":"17","body":{"id":"9",
        "conversation":"5","seq":3,"sender":"1","to":"2","client_id":"a","content":"a \"b\"\n","content_type":
        "text/plain","priority":"normal","qos":"at_least_once","state":"created","created_at":"1700000000000"}}}"#;

    #[test]
    fn a_pushed_message_is_read_with_its_place() -> Result<(), Error> {
        let other_order = PUSHED.replace(r#"{"jsonrpc":"2.0","method":"message","#, r#"{"method":"message", "#);
        let more = PUSHED.replace("}}}", r#"}},"later":1}"#);
        for text in [PUSHED, &other_order, &more] {
            let Frame::Notification { name, params } = Frame::read(text)? else {
                return Err(Error::Unreadable(text.to_owned()));
            };
            let notice: Notice<Message<'_>> = params.read()?;
            assert_eq!((name.as_ref(), notice.cursor), ("message", Some(Int(17))));
            assert_eq!((notice.body.content.as_ref(), notice.body.seq), ("a \"b\"\n", Int(3)));
            assert_eq!(notice.body.group, None);
        }
        Ok(())
    }

    #[test]
    fn an_answer_is_its_result_or_its_refusal() -> Result<(), Error> {
        let Frame::Answer {
            id: 4,
            result: Ok(Some(raw)),
        } = Frame::read(r#"{"id":4,"result":"12"}"#)?
        else {
            return Err(Error::Unreadable("result".to_owned()));
        };
        assert_eq!(read::<Int>(raw.get())?, Int(12));
        let text = r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32004,"message":"no such user",
            "data":{"code":"not_found","retryable":false}}}"#;
        let Frame::Answer {
            id: 5,
            result: Err(refusal),
        } = Frame::read(text)?
        else {
            return Err(Error::Unreadable("error".to_owned()));
        };
        assert_eq!((refusal.code.as_str(), refusal.retryable), ("not_found", false));
        Ok(())
    }

    #[test]
    fn a_method_that_gives_nothing_is_answered_with_null() -> Result<(), Error> {
        assert!(matches!(
            Frame::read(r#"{"id":1,"result":null}"#)?,
            Frame::Answer { result: Ok(None), .. }
        ));
        Ok(())
    }

    #[test]
    fn large_integers_are_written_as_strings() -> Result<(), Error> {
        let text = request(1, "send.ack", &[Int(u64::MAX)])?;
        assert!(text.ends_with(r#""method":"send.ack","params":["18446744073709551615"]}"#));
        Ok(())
    }

    #[test]
    fn what_is_no_frame_is_told() {
        assert!(Frame::read("{}").is_err());
        assert!(Frame::read("[1").is_err());
        assert!(read::<Int>("\"-1\"").is_err());
    }
}
