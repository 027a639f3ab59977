//! The parameters of the methods that chat, replay and the benchmarks call, as `wit/im` names them. It knows no method's
//! rules: the service says what it refuses.

use serde::Serialize;

use crate::records::Int;

/// Of a method that takes nothing.
#[derive(Debug, Serialize)]
pub struct Nothing {}

/// `login.register`.
#[derive(Debug, Serialize)]
pub struct Registration<'a> {
    /// 1 to 64 letters, digits, `.`, `_`, `-` or inner spaces.
    pub name: &'a str,
    /// 8 to 128 bytes.
    pub password: &'a str,
}

/// `login.login`.
#[derive(Debug, Serialize)]
pub struct Login<'a> {
    /// The name of the account, without regard to case.
    pub name: &'a str,
    /// Its password.
    pub password: &'a str,
    /// The device that the session is for, 1 to 64 bytes.
    pub device: &'a str,
    /// Its class, 1 to 64 bytes: sessions of one class may end each other.
    pub device_class: &'a str,
}

/// `connection.resume`.
#[derive(Debug, Serialize)]
pub struct Resume<'a> {
    /// The bearer token of a session.
    pub token: &'a str,
}

/// `contacts.find`, and `groups.create` without a policy.
#[derive(Debug, Serialize)]
pub struct ByName<'a> {
    /// The name.
    pub name: &'a str,
}

/// `presence.get-status`.
#[derive(Debug, Serialize)]
pub struct ByUser {
    /// The user.
    pub user: Int,
}

/// `groups.join` and `groups.info`.
#[derive(Debug, Serialize)]
pub struct ByGroup {
    /// The group.
    pub group: Int,
}

/// `groups.invite`.
#[derive(Debug, Serialize)]
pub struct Invite<'a> {
    /// The group.
    pub group: Int,
    /// Who shall belong to it; at most 500.
    pub users: &'a [Int],
}

/// `contacts.list`.
#[derive(Debug, Serialize)]
pub struct After {
    /// The user id after which to go on; from the first on when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Int>,
    /// How many at most.
    pub limit: u32,
}

/// `contacts.users`.
#[derive(Debug, Serialize)]
pub struct Users<'a> {
    /// Those whose names are wanted; at most 500.
    pub users: &'a [Int],
}

/// `pull-offline.conversations`.
#[derive(Debug, Serialize)]
pub struct Limit {
    /// How many at most.
    pub limit: u32,
}

/// `pull-offline.history`, from the newest on.
#[derive(Debug, Serialize)]
pub struct History {
    /// The conversation.
    pub conversation: Int,
    /// How many messages at most.
    pub limit: u32,
}

/// `pull-offline.pull`.
#[derive(Debug, Serialize)]
pub struct PullInbox {
    /// The cursor up to which everything is known; where the service remembers the device when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Int>,
    /// How many entries at most.
    pub limit: u32,
}

/// `group-pull.pull`.
#[derive(Debug, Serialize)]
pub struct PullGroup {
    /// The group.
    pub group: Int,
    /// The sequence number up to which everything is known; where the service remembers the user when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Int>,
    /// How many messages at most.
    pub limit: u32,
}

/// `group-pull.set-cursor`.
#[derive(Debug, Serialize)]
pub struct SetCursor {
    /// The group.
    pub group: Int,
    /// The sequence number up to which everything is known.
    pub cursor: Int,
}

/// `send.send-message`.
#[derive(Debug, Serialize)]
pub struct SendMessage<'a> {
    /// The receiver.
    pub to: Int,
    /// 1 to 64 bytes, unique for the sender: it makes a repeat safe.
    pub client_id: &'a str,
    /// 1 byte to 16 KiB.
    pub content: &'a str,
}

/// `send.send-group-message`.
#[derive(Debug, Serialize)]
pub struct SendGroupMessage<'a> {
    /// The group.
    pub group: Int,
    /// 1 to 64 bytes, unique for the sender: it makes a repeat safe.
    pub client_id: &'a str,
    /// 1 byte to 16 KiB.
    pub content: &'a str,
}

/// `send.ack`.
#[derive(Debug, Serialize)]
pub struct Ack<'a> {
    /// The messages that the device has; at most 1000.
    pub messages: &'a [Int],
    /// The cursor up to which it has its whole inbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Int>,
}

/// `send.mark-read`.
#[derive(Debug, Serialize)]
pub struct MarkRead {
    /// The conversation.
    pub conversation: Int,
    /// The sequence number up to which the user has read it.
    pub up_to: Int,
}
