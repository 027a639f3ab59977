//! The parameters of the methods that the client commands call, as `wit/im` names them.

use serde::Serialize;

use super::wire::Int;

/// Of a method that takes nothing.
#[derive(Debug, Serialize)]
pub(crate) struct Nothing {}

/// `login.register`.
#[derive(Debug, Serialize)]
pub(crate) struct Registration<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a str,
}

/// `login.login`.
#[derive(Debug, Serialize)]
pub(crate) struct Login<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a str,
    pub(crate) device: &'a str,
    pub(crate) device_class: &'a str,
}

/// `connection.resume`.
#[derive(Debug, Serialize)]
pub(crate) struct Resume<'a> {
    pub(crate) token: &'a str,
}

/// `contacts.find`, and `groups.create` without a policy.
#[derive(Debug, Serialize)]
pub(crate) struct ByName<'a> {
    pub(crate) name: &'a str,
}

/// `presence.get-status`.
#[derive(Debug, Serialize)]
pub(crate) struct ByUser {
    pub(crate) user: Int,
}

/// `groups.join` and `groups.info`.
#[derive(Debug, Serialize)]
pub(crate) struct ByGroup {
    pub(crate) group: Int,
}

/// `groups.invite`.
#[derive(Debug, Serialize)]
pub(crate) struct Invite<'a> {
    pub(crate) group: Int,
    pub(crate) users: &'a [Int],
}

/// `contacts.list`.
#[derive(Debug, Serialize)]
pub(crate) struct After {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Int>,
    pub(crate) limit: u32,
}

/// `contacts.users`.
#[derive(Debug, Serialize)]
pub(crate) struct Users<'a> {
    pub(crate) users: &'a [Int],
}

/// `pull-offline.conversations`.
#[derive(Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) limit: u32,
}

/// `pull-offline.history`, from the newest on.
#[derive(Debug, Serialize)]
pub(crate) struct History {
    pub(crate) conversation: Int,
    pub(crate) limit: u32,
}

/// `pull-offline.pull`.
#[derive(Debug, Serialize)]
pub(crate) struct PullInbox {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Int>,
    pub(crate) limit: u32,
}

/// `group-pull.pull`.
#[derive(Debug, Serialize)]
pub(crate) struct PullGroup {
    pub(crate) group: Int,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Int>,
    pub(crate) limit: u32,
}

/// `group-pull.set-cursor`.
#[derive(Debug, Serialize)]
pub(crate) struct SetCursor {
    pub(crate) group: Int,
    pub(crate) cursor: Int,
}

/// `send.send-message`.
#[derive(Debug, Serialize)]
pub(crate) struct SendMessage<'a> {
    pub(crate) to: Int,
    pub(crate) client_id: &'a str,
    pub(crate) content: &'a str,
}

/// `send.send-group-message`.
#[derive(Debug, Serialize)]
pub(crate) struct SendGroupMessage<'a> {
    pub(crate) group: Int,
    pub(crate) client_id: &'a str,
    pub(crate) content: &'a str,
}

/// `send.ack`.
#[derive(Debug, Serialize)]
pub(crate) struct Ack<'a> {
    pub(crate) messages: &'a [Int],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Int>,
}

/// `send.mark-read`.
#[derive(Debug, Serialize)]
pub(crate) struct MarkRead {
    pub(crate) conversation: Int,
    pub(crate) up_to: Int,
}
