//! Those records of `wit/im` that a client reads, as JSON gives them. Reading borrows from the frame, because a replay
//! reads millions of them; what no client here has a use for is not read. Times are milliseconds since the epoch, UTC.
//! It knows no frame and no rule.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 64-bit integer: a decimal string in JSON. Reading takes a number as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Int(
    /// Its value.
    pub u64,
);

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

/// `types.message`.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    /// The message.
    pub id: Int,
    /// The conversation that it is in; that of a group has the id of the group.
    pub conversation: Int,
    /// Its sequence number in the conversation, from 1 on and without gaps.
    pub seq: Int,
    /// The user who sent it.
    pub sender: Int,
    /// The receiver, in a conversation of two.
    #[serde(default)]
    pub to: Option<Int>,
    /// The group, in a conversation of a group.
    #[serde(default)]
    pub group: Option<Int>,
    /// The id that the sender's client gave it, unique for the sender.
    #[serde(borrow)]
    pub client_id: Cow<'a, str>,
    /// What it says; empty once recalled.
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    /// `at_most_once`, `at_least_once` or `exactly_once`; empty where it is not told.
    #[serde(borrow, default)]
    pub qos: Cow<'a, str>,
    /// When it became durable.
    pub created_at: Int,
    /// When its sender took it back.
    #[serde(default)]
    pub recalled_at: Option<Int>,
}

/// `types.receipt`: the message is durable.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Receipt {
    /// The message.
    pub message: Int,
    /// The conversation that it is in.
    pub conversation: Int,
    /// Its sequence number there.
    pub seq: Int,
}

/// `notify.waiting`, of which only the cursor of its notification is wanted.
#[derive(Debug, Deserialize)]
pub struct Waiting {}

/// `notify.state-change`.
#[derive(Debug, Deserialize)]
pub struct StateChange<'a> {
    /// The other user, whose device caused it.
    pub by: Int,
    /// The messages whose state changed.
    pub messages: Vec<Int>,
    /// `created`, `sending`, `sent`, `delivered`, `read` or `failed`.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
}

/// `notify.recall`.
#[derive(Debug, Deserialize)]
pub struct Recall {
    /// The conversation that the message was in.
    pub conversation: Int,
    /// The sender, who took it back.
    pub by: Int,
    /// When.
    pub at: Int,
}

/// `notify.presence-change`.
#[derive(Debug, Deserialize)]
pub struct PresenceChange {
    /// The user who came online or went offline.
    pub user: Int,
    /// Which of the two.
    pub online: bool,
}

/// `notify.kick`.
#[derive(Debug, Deserialize)]
pub struct Kick {
    /// For people.
    pub reason: String,
    /// The device class whose new login ended this session, where that is the reason.
    #[serde(default)]
    pub by_device: Option<String>,
}

/// `notify.contact-change`.
#[derive(Debug, Deserialize)]
pub struct ContactChange<'a> {
    /// The other user, who did it.
    pub user: Int,
    /// `requested`, `accepted`, `declined` or `removed`.
    #[serde(borrow)]
    pub change: Cow<'a, str>,
}

/// `notify.group-change`.
#[derive(Debug, Deserialize)]
pub struct GroupChange<'a> {
    /// The group.
    pub group: Int,
    /// `joined`, `left`, `invited`, `removed`, `role_changed` or `transferred`.
    #[serde(borrow)]
    pub change: Cow<'a, str>,
    /// The user whom it is about.
    pub user: Int,
}

/// `pull-offline.page`.
#[derive(Debug, Deserialize)]
pub struct InboxPage<'a> {
    /// What the inbox has, in the order of its cursors.
    #[serde(borrow)]
    pub entries: Vec<Entry<'a>>,
    /// The cursor to pull after next; it may pass some of which no entry was given.
    pub next: Int,
    /// Whether there is more behind it.
    pub more: bool,
}

/// `pull-offline.entry`.
#[derive(Debug, Deserialize)]
pub struct Entry<'a> {
    /// Where it stands in the inbox.
    pub cursor: Int,
    /// `message`, or `recall` for a message that was taken back.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The message as it is now.
    #[serde(borrow)]
    pub message: Message<'a>,
}

/// `group-pull.page`.
#[derive(Debug, Deserialize)]
pub struct GroupPage<'a> {
    /// The messages of the group, in the order of their sequence numbers.
    #[serde(borrow)]
    pub messages: Vec<Message<'a>>,
    /// The sequence number to pull after next.
    pub next: Int,
    /// Whether there is more behind it.
    pub more: bool,
}

/// `group-pull.unread-group`.
#[derive(Debug, Deserialize)]
pub struct UnreadGroup {
    /// The group.
    pub group: Int,
    /// The sequence number where the user is in it.
    pub cursor: Int,
}

/// `pull-offline.conversation`.
#[derive(Debug, Deserialize)]
pub struct Conversation {
    /// The conversation.
    pub id: Int,
    /// The other user, in a conversation of two.
    #[serde(default)]
    pub peer: Option<Int>,
}

/// `login.grant`.
#[derive(Debug, Clone, Deserialize)]
pub struct Grant {
    /// The user who logged in.
    pub user: Int,
    /// The bearer token of the session.
    pub token: String,
}

/// `contacts.user`.
#[derive(Debug, Deserialize)]
pub struct User {
    /// The user.
    pub id: Int,
    /// What they are called.
    pub name: String,
}

/// `contacts.contact`.
#[derive(Debug, Deserialize)]
pub struct Contact {
    /// The other user.
    pub user: Int,
    /// What they are called.
    pub name: String,
}

/// `groups.group`.
#[derive(Debug, Clone, Deserialize)]
pub struct Group {
    /// The group, and its conversation.
    pub id: Int,
    /// What it is called.
    pub name: String,
    /// How many belong to it.
    pub members: u32,
    /// `write` where each member has its messages in their inbox, `read` where devices follow the group itself.
    pub fan_out: String,
}

/// `presence.status`.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// Whether any device of the user is connected.
    pub online: bool,
    /// The classes of those that are, in alphabetic order.
    #[serde(default)]
    pub device_classes: Vec<String>,
    /// When the user was last online; absent while they are, when they never were, and where it cannot be told.
    pub last_seen: Option<Int>,
}

#[cfg(test)]
mod tests {
    use super::Int;

    #[test]
    fn an_integer_is_neither_negative_nor_a_word() {
        for wrong in ["\"-1\"", "-1", "\"one\"", "1.5"] {
            assert!(serde_json::from_str::<Int>(wrong).is_err(), "{wrong}");
        }
    }
}
