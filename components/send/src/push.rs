//! Who is told what, after the write. Everything here is a hint: the store has it already.

use guest::route::{Decision, route_message};
use guest::telemetry::{Level, log};
use guest::{Audience, Caller, Message, MessageState, Recall, Recipient, StateChange, Waiting, hint, notify};

/// Where the two users of a message may be reached now.
#[derive(Debug, PartialEq)]
pub(crate) struct Reach {
    /// Whether a live connection of the receiver is known, or possible.
    pub(crate) receiver: bool,
    /// Whether one of the sender is, besides the one that the call came by.
    pub(crate) sender: bool,
    /// The nodes of both; empty for every node.
    pub(crate) nodes: Vec<String>,
}

impl Reach {
    /// Asks for the routes. A failure counts as "maybe online, anywhere": a useless push is cheap,
    /// and the message, beginning as `sending`, is pushed again until someone has it.
    pub(crate) async fn find(receiver: u64, caller: &Caller) -> Self {
        match route_message(vec![receiver, caller.user]).await {
            Ok(decision) => Self::of(decision, receiver, caller),
            Err(error) => {
                log(
                    Level::Warn,
                    "a message goes to every node, for want of a route",
                    &[("error", error.message)],
                );
                Self {
                    receiver: true,
                    sender: true,
                    nodes: Vec::new(),
                }
            }
        }
    }

    fn of(decision: Decision, receiver: u64, caller: &Caller) -> Self {
        let others = match caller.connection {
            Some(_) => &decision.multi_connection,
            None => &decision.online,
        };
        Self {
            receiver: decision.online.contains(&receiver),
            sender: others.contains(&caller.user),
            nodes: decision.nodes,
        }
    }
}

/// Pushes a new message to users with their inbox seqs, and reports the first write of it.
pub(crate) async fn message(
    nodes: Vec<String>,
    recipients: Vec<(u64, Option<u64>)>,
    except: Option<u64>,
    body: Message,
) {
    let to = Audience {
        nodes,
        recipients: recipients
            .into_iter()
            .map(|(user, cursor)| Recipient { user, cursor })
            .collect(),
        except_connection: except,
        priority: body.priority,
        track: track(&body),
        ..Audience::nobody()
    };
    hint("message", notify::message(to, body).await);
}

/// Pushes a new message to the other devices of its sender. Their writes are not reported: a message
/// is `sent` when a socket of its receiver took it.
pub(crate) async fn echo(nodes: Vec<String>, sender: u64, except: Option<u64>, body: Message) {
    let to = Audience {
        nodes,
        except_connection: except,
        priority: body.priority,
        ..Audience::users([sender])
    };
    hint("message", notify::message(to, body).await);
}

/// Pushes a message to the connections of the members of its group, on every node.
pub(crate) async fn topic(group: u64, except: Option<u64>, body: Message) {
    let to = Audience {
        topics: vec![topic_of(group)],
        except_connection: except,
        priority: body.priority,
        track: track(&body),
        ..Audience::nobody()
    };
    hint("message", notify::message(to, body).await);
}

/// Tells users how far their inboxes reach, on behalf of a message that is among what they may lack.
pub(crate) async fn pending(heads: Vec<(u64, Option<u64>)>, message: &Message) {
    let to = Audience {
        recipients: heads
            .into_iter()
            .map(|(user, cursor)| Recipient { user, cursor })
            .collect(),
        priority: message.priority,
        track: track(message),
        ..Audience::nobody()
    };
    let body = Waiting {
        conversation: message.conversation,
    };
    hint("pending", notify::pending(to, body).await);
}

/// Tells a sender that messages came to another state.
pub(crate) async fn receipt(sender: u64, change: StateChange) {
    hint("receipt", notify::receipt(Audience::users([sender]), change).await);
}

/// Tells the receivers of a message, with their inbox seqs, and the other devices of its sender that it was
/// taken back. In a group without inboxes the topic is told.
pub(crate) async fn recalled(caller: &Caller, message: &Message, receivers: Vec<(u64, Option<u64>)>, at: u64) {
    let topics = match message.group {
        Some(group) if receivers.is_empty() => vec![topic_of(group)],
        _ => Vec::new(),
    };
    let recipients = receivers.into_iter().chain([(caller.user, None)]);
    let to = Audience {
        recipients: recipients.map(|(user, cursor)| Recipient { user, cursor }).collect(),
        topics,
        except_connection: caller.connection,
        priority: message.priority,
        ..Audience::nobody()
    };
    let body = Recall {
        message: message.id,
        conversation: message.conversation,
        seq: message.seq,
        by: caller.user,
        at,
    };
    hint("recalled", notify::recalled(to, body).await);
}

/// What to report once a socket took the frame: nothing, where that would change nothing.
fn track(body: &Message) -> Option<u64> {
    matches!(body.state, MessageState::Created | MessageState::Sending).then_some(body.id)
}

/// The topic to which the connections of the members of a group are subscribed.
fn topic_of(group: u64) -> String {
    format!("group/{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(connection: Option<u64>, multi_connection: Vec<u64>) -> Reach {
        let decision = Decision {
            nodes: vec!["a".to_owned()],
            online: vec![2],
            multi_connection,
            offline: vec![1],
        };
        let caller = Caller {
            user: 2,
            session: 1,
            device: "d".to_owned(),
            connection,
        };
        Reach::of(decision, 1, &caller)
    }

    #[test]
    fn a_user_without_a_route_is_not_reachable() {
        let there = Reach {
            receiver: false,
            sender: true,
            nodes: vec!["a".to_owned()],
        };
        assert_eq!(reach(None, Vec::new()), there);
        assert_eq!(reach(Some(7), vec![2]), there);
    }

    #[test]
    fn who_calls_by_their_only_connection_needs_no_echo() {
        assert!(!reach(Some(7), Vec::new()).sender);
    }
}
