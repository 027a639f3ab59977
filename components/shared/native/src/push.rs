//! What components tell clients, written down.

use std::fmt::{Display, Formatter, Result};

use guest::{Audience, ContactChange, GroupChange, Kick, Message, PresenceChange, Recall, StateChange, Waiting};

/// A notification, or a change of who hears a topic.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "each is the notification of its name, documented in wit/im/notify.wit"
)]
pub enum Push {
    Message(Audience, Message),
    Receipt(Audience, StateChange),
    Recalled(Audience, Recall),
    Presence(Audience, PresenceChange),
    Kicked(Audience, Kick),
    Contact(Audience, ContactChange),
    Pending(Audience, Waiting),
    Group(Audience, GroupChange),
    /// Users and the topic that they hear from now on.
    Subscribe(Vec<u64>, String),
    /// Users and the topic that they hear no more.
    Unsubscribe(Vec<u64>, String),
}

/// One line, without times.
impl Display for Push {
    fn fmt(&self, line: &mut Formatter<'_>) -> Result {
        match self {
            Self::Message(to, body) => write!(line, "message {} of {} to {}", body.id, body.sender, named(to)),
            Self::Receipt(to, body) => {
                write!(
                    line,
                    "{:?} {:?} by {} to {}",
                    body.state,
                    body.messages,
                    body.by,
                    named(to)
                )
            }
            Self::Recalled(to, body) => write!(line, "recalled {} by {} to {}", body.message, body.by, named(to)),
            Self::Presence(to, body) => write!(line, "{} online: {} to {}", body.user, body.online, named(to)),
            Self::Kicked(to, body) => write!(line, "kicked {:?}: {}", to.sessions, body.reason),
            Self::Contact(to, body) => write!(line, "{:?} by {} to {}", body.change, body.user, named(to)),
            Self::Pending(to, body) => write!(line, "pending in {} to {}", body.conversation, named(to)),
            Self::Group(to, body) => write!(
                line,
                "{:?} {} in {} by {} to {}",
                body.change,
                body.user,
                body.group,
                body.by,
                named(to)
            ),
            Self::Subscribe(users, topic) => write!(line, "subscribe {users:?} {topic}"),
            Self::Unsubscribe(users, topic) => write!(line, "unsubscribe {users:?} {topic}"),
        }
    }
}

fn named(to: &Audience) -> String {
    let users: Vec<u64> = to.recipients.iter().map(|recipient| recipient.user).collect();
    format!("{users:?} {:?} except {:?}", to.topics, to.except_connection)
}
