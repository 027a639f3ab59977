//! Who calls, and over which socket: the host's side of the records of `mpim:host/gateway`.

use std::sync::Arc;

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: u64,
    /// The session.
    pub session: u64,
    /// The device of the session.
    pub device: Arc<str>,
    /// The socket; none over HTTP.
    pub connection: Option<u64>,
}

/// What a verified token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: u64,
    /// The session.
    pub session: u64,
    /// The device of the session.
    pub device: Arc<str>,
    /// The class of the device.
    pub device_class: Arc<str>,
    /// When the session ends, in milliseconds since the epoch.
    pub expires_at: u64,
}

/// A live socket of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Unique over all nodes and all time.
    pub id: u64,
    /// The node that holds the socket.
    pub node: Arc<str>,
    /// Whose it is.
    pub identity: Identity,
}

impl Connection {
    /// The caller that calls over this connection.
    pub fn caller(&self) -> Caller {
        Caller {
            connection: Some(self.id),
            ..self.identity.caller()
        }
    }
}

impl Identity {
    /// The caller that calls with this token, without a connection.
    pub fn caller(&self) -> Caller {
        Caller {
            user: self.user,
            session: self.session,
            device: self.device.clone(),
            connection: None,
        }
    }
}
