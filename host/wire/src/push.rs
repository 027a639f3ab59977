//! What goes to the gateways of nodes: notifications for clients, and changes of subscriptions.
//!
//! A push crosses the queue of each node once, however many connections it is for; the node fans it
//! out. It is a hint: what it tells is durable before, and is found by a pull when a push is lost.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The set, in the metadata, of the nodes that are alive. No function has an empty name, so that none can reach it or
/// those like it.
pub const ALIVE: &str = "/cluster/alive";
/// The nodes that may have missed something.
pub const BEHIND: &str = "/cluster/behind";
/// The consumer group of a gateway at the queue of its node.
pub const GROUP: &str = "gateway";
/// For how long a node that may have missed something can be told so.
pub const BEHIND_MS: u64 = 600_000;

/// Who shall receive a notification; see `mpim:host/gateway`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// The nodes to reach; empty means every live node.
    #[serde(skip)]
    pub nodes: Vec<String>,
    /// Users, each with the position in their inbox.
    pub recipients: Vec<Recipient>,
    /// Topics whose subscribers receive it.
    pub topics: Vec<String>,
    /// Sessions whose connections receive it.
    pub sessions: Vec<u64>,
    /// A connection that does not.
    pub except_connection: Option<u64>,
    /// The lane at every queue: 0 low to 3 urgent.
    pub priority: u8,
    /// Reported once a socket took the frame.
    pub track: Option<u64>,
    /// Closes the connections after the frame.
    pub close: Option<String>,
}

/// A user, and the position in their inbox that the notification stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The user.
    pub user: u64,
    /// None: it has no position in an inbox.
    pub cursor: Option<u64>,
}

/// An entry of a gateway's queue.
#[derive(Debug, Serialize, Deserialize)]
pub enum Push {
    /// Goes to clients.
    Notification {
        /// To whom.
        to: Audience,
        /// Its name.
        method: String,
        /// Its body.
        body: Box<RawValue>,
        /// The trace of the call that caused it, as `traceparent` of W3C says it, where that is recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<String>,
    },
    /// Subscribes the connections of users to a topic.
    Subscribe {
        /// Whose connections.
        users: Vec<u64>,
        /// To what.
        topic: String,
    },
    /// Ends that.
    Unsubscribe {
        /// Whose connections.
        users: Vec<u64>,
        /// From what.
        topic: String,
    },
}

/// What a push is once it is in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The nodes whose queues it goes to; empty means every live node.
    pub nodes: Vec<String>,
    /// The lane, 0 low to 3 urgent.
    pub priority: u8,
    /// The entry.
    pub payload: Vec<u8>,
}

impl Push {
    /// A notification with a body of JSON; none when it is no JSON.
    pub fn notification(to: Audience, method: &str, body: Vec<u8>) -> Option<Self> {
        let body = RawValue::from_string(String::from_utf8(body).ok()?).ok()?;
        Some(Self::Notification {
            to,
            method: method.to_owned(),
            body,
            trace: None,
        })
    }

    /// The same, in the trace of the call that caused it; a change of subscriptions has none.
    #[must_use]
    pub fn traced(self, traceparent: String) -> Self {
        match self {
            Self::Notification { to, method, body, .. } => Self::Notification {
                to,
                method,
                body,
                trace: Some(traceparent),
            },
            other => other,
        }
    }

    /// The topic of a node's gateway. Components cannot name it: theirs have a prefix of their own.
    pub fn topic(node: &str) -> String {
        format!("gateway/{node}")
    }

    /// As it goes into queues. A change of subscriptions overtakes what is for the subscribers.
    pub fn encode(&self) -> Result<Encoded, serde_json::Error> {
        let (nodes, priority) = match self {
            Self::Notification { to, .. } => (to.nodes.clone(), to.priority),
            Self::Subscribe { .. } | Self::Unsubscribe { .. } => (Vec::new(), 3),
        };
        let payload = serde_json::to_vec(self)?;
        Ok(Encoded {
            nodes,
            priority,
            payload,
        })
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }
}

/// A topic that a component names, kept apart from those of the host.
pub fn shared_topic(topic: &str) -> String {
    format!("topic/{topic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_read_as_it_was_written_but_for_its_nodes() {
        let to = Audience {
            nodes: vec!["a".to_owned()],
            recipients: vec![Recipient {
                user: 1,
                cursor: Some(2),
            }],
            topics: Vec::new(),
            sessions: Vec::new(),
            except_connection: None,
            priority: 2,
            track: None,
            close: None,
        };
        let push = Push::notification(to.clone(), "message", b"{\"a\":1}".to_vec()).unwrap();
        let encoded = push.encode().unwrap();
        assert_eq!((encoded.nodes, encoded.priority), (to.nodes.clone(), 2));
        let Push::Notification {
            to: read,
            method,
            body,
            trace,
        } = Push::decode(&encoded.payload).unwrap()
        else {
            panic!("another push");
        };
        assert_eq!(trace, None);
        assert_eq!((method.as_str(), body.get()), ("message", "{\"a\":1}"));
        assert_eq!(
            read,
            Audience {
                nodes: Vec::new(),
                ..to
            }
        );
    }

    #[test]
    fn a_recorded_trace_goes_through_the_queue() {
        let to: Audience = serde_json::from_str(
            r#"{"recipients":[],"topics":[],"sessions":[],"except_connection":null,"priority":1,"track":null,"close":null}"#,
        )
        .unwrap();
        let push = Push::notification(to, "message", b"1".to_vec()).unwrap();
        let plain = push.encode().unwrap().payload;
        assert!(
            !String::from_utf8(plain).unwrap().contains("trace"),
            "nothing is kept of one that is not recorded"
        );
        let traced = push.traced("00-1-2-01".to_owned()).encode().unwrap().payload;
        let Push::Notification { trace, .. } = Push::decode(&traced).unwrap() else {
            panic!("another push");
        };
        assert_eq!(trace.as_deref(), Some("00-1-2-01"));
    }

    #[test]
    fn what_is_no_json_is_no_body() {
        let to = Audience {
            nodes: Vec::new(),
            recipients: Vec::new(),
            topics: Vec::new(),
            sessions: Vec::new(),
            except_connection: None,
            priority: 0,
            track: None,
            close: None,
        };
        assert!(Push::notification(to, "message", b"{".to_vec()).is_none());
    }
}
