//! The JSON-RPC frames that a client and a server exchange. Reading borrows from the frame, because a replay reads
//! millions of them. It knows no socket and no rule, and of what the frames hold only where it stands.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Refusal};
use crate::records::Int;

/// The notification after which a device pulls as after a connect.
pub const RESYNC: &str = "connection.resync";

/// Writes a call. [`Error::Unreadable`] when the parameters cannot be JSON.
pub fn request<P: Serialize>(id: u64, method: &str, params: &P) -> Result<String, Error> {
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
pub enum Frame<'a> {
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
        /// Read as a [`Notice`] of the record that the name stands for.
        params: Params<'a>,
    },
}

impl<'a> Frame<'a> {
    /// Reads a frame: [`Error::Unreadable`] when it is none, and [`Error::Refused`] when it holds an error that answers no
    /// call, which refuses the whole connection.
    pub fn read(text: &'a str) -> Result<Self, Error> {
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
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// Reads them; [`Error::Unreadable`] when they have another shape. What stands behind them in the frame is not looked
    /// at.
    pub fn read<T: Deserialize<'a>>(self) -> Result<T, Error> {
        T::deserialize(&mut serde_json::Deserializer::from_str(self.0))
            .map_err(|error| Error::Unreadable(error.to_string()))
    }
}

/// Reads a value of the server; [`Error::Unreadable`] when it has another shape.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
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

/// The parameters of a notification: its body, and its cursor in the inbox where it has one.
#[derive(Deserialize)]
#[serde(bound(deserialize = "B: Deserialize<'de>"))]
pub struct Notice<B> {
    /// The cursor of the inbox entry that it tells of; absent when it is in no inbox.
    #[serde(default)]
    pub cursor: Option<Int>,
    /// The record that the name of the notification stands for.
    pub body: B,
}

#[cfg(test)]
mod tests {
    use super::{Error, Frame, Int, Notice, read, request};
    use crate::records::Message;

    const PUSHED: &str = r#"{"jsonrpc":"2.0","method":"message","params":{"cursor":"17","body":{"id":"9",
        "conversation":"5","seq":3,"sender":"1","to":"2","client_id":"a","content":"a \"b\"\n","content_type":
        "text/plain","priority":"normal","qos":"at_least_once","state":"created","created_at":"1700000000000"}}}"#;

    #[test]
    fn a_pushed_message_is_read_with_its_cursor() -> Result<(), Error> {
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
    }
}
