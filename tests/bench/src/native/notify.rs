//! Notifications on their way into the queue of the node, with the JSON that the host makes of them.

use std::sync::Arc;

use capabilities::Services;
use guest::native::Answer;
use guest::{Audience, HostError, Kick, Message, MessageState, PresenceChange, Priority, Qos, StateChange, Waiting};
use wire::json::{Json, JsonPath, Mismatch, Record, name_of};
use wire::push::{self, Push};

/// A body of a notification.
pub(super) trait Body {
    fn write(&self, out: &mut Vec<u8>);
}

/// Puts a notification into the queues of the nodes that it is for.
pub(super) fn tell(node: &Arc<Services>, name: &str, to: Audience, body: &impl Body) -> Answer<Result<(), HostError>> {
    let mut text = Vec::with_capacity(256);
    body.write(&mut text);
    let push = Push::notification(audience(to), name, text);
    let node = node.clone();
    Box::pin(async move {
        let push = push.ok_or_else(|| HostError::Invalid("a body that is no JSON".to_owned()))?;
        capabilities::publish(&push, &node).await.map_err(super::fault)
    })
}

fn audience(to: Audience) -> push::Audience {
    push::Audience {
        nodes: to.nodes,
        recipients: to
            .recipients
            .into_iter()
            .map(|recipient| push::Recipient {
                user: recipient.user,
                cursor: recipient.cursor,
            })
            .collect(),
        topics: to.topics,
        sessions: to.sessions,
        except_connection: to.except_connection,
        priority: match to.priority {
            Priority::Low => 0,
            Priority::Normal => 1,
            Priority::High => 2,
            Priority::Urgent => 3,
        },
        track: to.track,
        close: to.close,
    }
}

/// A case of an enum. It is only ever written.
struct Word(&'static str);

impl Json for Word {
    fn read(_: wire::Value, at: &JsonPath<'_>) -> Result<Self, Mismatch> {
        Err(at.wrong("only written"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        name_of(self.0, out);
    }
}

impl Body for Message {
    fn write(&self, out: &mut Vec<u8>) {
        Record::begin(out)
            .field("id", &self.id)
            .field("conversation", &self.conversation)
            .field("seq", &self.seq)
            .field("sender", &self.sender)
            .field("to", &self.to)
            .field("group", &self.group)
            .field("client-id", &self.client_id)
            .field("content", &self.content)
            .field("content-type", &self.content_type)
            .field("priority", &priority(self.priority))
            .field("qos", &qos(self.qos))
            .field("state", &state(self.state))
            .field("created-at", &self.created_at)
            .field("sent-at", &self.sent_at)
            .field("delivered-at", &self.delivered_at)
            .field("read-at", &self.read_at)
            .field("recalled-at", &self.recalled_at)
            .end();
    }
}

impl Body for StateChange {
    fn write(&self, out: &mut Vec<u8>) {
        Record::begin(out)
            .field("conversation", &self.conversation)
            .field("by", &self.by)
            .field("messages", &self.messages)
            .field("state", &state(self.state))
            .field("at", &self.at)
            .end();
    }
}

impl Body for PresenceChange {
    fn write(&self, out: &mut Vec<u8>) {
        Record::begin(out)
            .field("user", &self.user)
            .field("online", &self.online)
            .field("at", &self.at)
            .end();
    }
}

impl Body for Kick {
    fn write(&self, out: &mut Vec<u8>) {
        Record::begin(out)
            .field("reason", &self.reason)
            .field("by-device", &self.by_device)
            .end();
    }
}

impl Body for Waiting {
    fn write(&self, out: &mut Vec<u8>) {
        Record::begin(out).field("conversation", &self.conversation).end();
    }
}

fn priority(priority: Priority) -> Word {
    Word(match priority {
        Priority::Low => "low",
        Priority::Normal => "normal",
        Priority::High => "high",
        Priority::Urgent => "urgent",
    })
}

fn qos(qos: Qos) -> Word {
    Word(match qos {
        Qos::AtMostOnce => "at-most-once",
        Qos::AtLeastOnce => "at-least-once",
        Qos::ExactlyOnce => "exactly-once",
    })
}

fn state(state: MessageState) -> Word {
    Word(match state {
        MessageState::Created => "created",
        MessageState::Sending => "sending",
        MessageState::Sent => "sent",
        MessageState::Delivered => "delivered",
        MessageState::Read => "read",
        MessageState::Failed => "failed",
    })
}
