//! What goes to the gateways of nodes: notifications for clients, and changes of subscriptions.
//!
//! A push crosses the queue of each node once, however many connections it is for; the node fans it
//! out. It is a hint: what it tells is durable before, and is found by a pull when a push is lost.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Node;
use backends::{Fault, Priority};

/// Who shall receive a notification; see `mpim:host/gateway`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// The nodes to reach; empty means every live node.
    #[serde(skip)]
    pub nodes: Vec<String>,
    /// Users, each with the place in their inbox.
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

/// A user, and the place in their inbox that the notification stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The user.
    pub user: u64,
    /// None: it has no place in an inbox.
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

impl Push {
    /// The topic of a node's gateway. Components cannot name it: theirs have a prefix of their own.
    pub fn topic(node: &str) -> String {
        format!("gateway/{node}")
    }

    /// Puts it into the queue of each node that it is for, all at once. A node whose queue does not take it is
    /// noted as behind: it will be told that its clients may have missed something.
    pub async fn publish(self, node: &Node) -> Result<(), Fault> {
        let priority = match &self {
            Self::Notification { to, .. } => lane(to.priority),
            Self::Subscribe { .. } | Self::Unsubscribe { .. } => Priority::Urgent,
        };
        let payload = serde_json::to_vec(&self).map_err(|error| Fault::Invalid(error.to_string()))?;
        let alive = node.peers.alive();
        let names = match &self {
            Self::Notification { to, .. } if !to.nodes.is_empty() => to.nodes.as_slice(),
            _ => &alive,
        };
        let publishing = names
            .iter()
            .map(|name| publish_to(node, name, priority, payload.clone()));
        let outcomes = futures_util::future::join_all(publishing).await;
        outcomes.into_iter().collect()
    }

    /// Reads what [`Self::publish`] wrote.
    pub fn decode(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }
}

async fn publish_to(node: &Node, name: &str, priority: Priority, payload: Vec<u8>) -> Result<(), Fault> {
    // Noted when it is dropped, so that a caller that is given up in between counts as a failure too.
    let mut unsure = Unsure {
        node,
        name,
        sure: false,
    };
    let outcome = node.queue.publish(&Push::topic(name), priority, payload).await;
    unsure.sure = outcome.is_ok();
    outcome.map(|_| ())
}

/// Notes a node as behind when it is dropped, unless it is sure that it is not.
struct Unsure<'a> {
    node: &'a Node,
    name: &'a str,
    sure: bool,
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if !self.sure {
            self.node.peers.note_behind(self.name);
        }
    }
}

/// The lane of a number, as [`Audience::priority`] holds it.
fn lane(priority: u8) -> Priority {
    match priority {
        0 => Priority::Low,
        1 => Priority::Normal,
        2 => Priority::High,
        _ => Priority::Urgent,
    }
}

/// A topic that a component names, kept apart from those of the host.
pub(super) fn shared_topic(topic: &str) -> String {
    format!("topic/{topic}")
}
