//! Who calls, and over which socket: the host's side of the records of `mpim:host/gateway`.

use std::sync::Arc;

/// Who makes a call. It is found out at the edge and injected: nobody can send it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Caller {
    /// The host itself, or its operator: may call every method.
    #[default]
    System,
    /// A client that is not logged in.
    Anonymous,
    /// A client that is.
    User(User),
}

impl Caller {
    /// The user, where one is logged in.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) => Some(user),
            Self::System | Self::Anonymous => None,
        }
    }
}

impl From<Option<User>> for Caller {
    /// A client, logged in or not.
    fn from(user: Option<User>) -> Self {
        user.map_or(Self::Anonymous, Self::User)
    }
}

/// A user who is logged in; what components see as `caller`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
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
        Caller::User(User {
            connection: Some(self.id),
            ..self.identity.as_user()
        })
    }
}

impl Identity {
    /// The caller that calls with this token, without a connection.
    pub fn caller(&self) -> Caller {
        Caller::User(self.as_user())
    }

    fn as_user(&self) -> User {
        User {
            user: self.user,
            session: self.session,
            device: self.device.clone(),
            connection: None,
        }
    }
}
