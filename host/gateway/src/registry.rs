//! The connections of this node, and which of them a notification is for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::extract::ws::Utf8Bytes;
use call::Connection;
use serde_json::value::RawValue;
use wire::push::Audience;

use crate::outbox::{Close, Frame, Outbox, code};

/// The lane of what the gateway itself has to say.
const USUAL: u8 = 1;

/// All logged-in connections of the node.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    connections: HashMap<u64, Entry>,
    users: HashMap<u64, Vec<u64>>,
    sessions: HashMap<u64, Vec<u64>>,
    topics: HashMap<String, HashSet<u64>>,
}

#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    outbox: Arc<Outbox>,
    topics: Vec<String>,
}

impl Registry {
    pub(crate) fn insert(&self, connection: Arc<Connection>, outbox: Arc<Outbox>) {
        let mut inner = self.write();
        let (id, identity) = (connection.id, &connection.identity);
        inner.users.entry(identity.user).or_default().push(id);
        inner.sessions.entry(identity.session).or_default().push(id);
        inner.connections.insert(
            id,
            Entry {
                connection,
                outbox,
                topics: Vec::new(),
            },
        );
    }

    pub(crate) fn remove(&self, id: u64) {
        let mut inner = self.write();
        let Some(entry) = inner.connections.remove(&id) else {
            return;
        };
        forget(&mut inner.users, entry.connection.identity.user, id);
        forget(&mut inner.sessions, entry.connection.identity.session, id);
        for topic in entry.topics {
            if let Some(subscribers) = inner.topics.get_mut(&topic) {
                subscribers.remove(&id);
                if subscribers.is_empty() {
                    inner.topics.remove(&topic);
                }
            }
        }
    }

    /// Subscribes one connection.
    pub(crate) fn subscribe_connection(&self, id: u64, topics: Vec<String>) {
        let mut inner = self.write();
        for topic in topics {
            inner.subscribe(id, topic);
        }
    }

    /// Subscribes the connections of users.
    pub(crate) fn subscribe(&self, users: &[u64], topic: &str) {
        let mut inner = self.write();
        for id in inner.connections_of(users) {
            inner.subscribe(id, topic.to_owned());
        }
    }

    /// Ends the subscription of the connections of users.
    pub(crate) fn unsubscribe(&self, users: &[u64], topic: &str) {
        let mut inner = self.write();
        for id in inner.connections_of(users) {
            if let Some(entry) = inner.connections.get_mut(&id) {
                entry.topics.retain(|other| other != topic);
            }
            if let Some(subscribers) = inner.topics.get_mut(topic) {
                subscribers.remove(&id);
            }
        }
        if inner.topics.get(topic).is_some_and(HashSet::is_empty) {
            inner.topics.remove(topic);
        }
    }

    /// Every connection.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.read()
            .connections
            .values()
            .map(|entry| entry.connection.clone())
            .collect()
    }

    /// Whether a connection is still there.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.read().connections.contains_key(&id)
    }

    /// Closes some connections.
    pub(crate) fn close(&self, ids: &[u64], close: &Close) {
        let inner = self.read();
        for entry in ids.iter().filter_map(|id| inner.connections.get(id)) {
            entry.outbox.close(close.clone());
        }
    }

    /// Puts a notification without a body into the outbox of one connection.
    pub(crate) fn tell(&self, id: u64, method: &str) {
        if let Some(entry) = self.read().connections.get(&id) {
            let text = render(method, None, RawValue::NULL);
            entry.outbox.push(Frame { text, track: None }, USUAL);
        }
    }

    /// Puts a notification into the outbox of each connection that it is for, each once. Gives how many.
    pub(crate) fn deliver(&self, to: &Audience, method: &str, body: &RawValue) -> usize {
        let inner = self.read();
        let mut seen: HashSet<u64> = to.except_connection.into_iter().collect();
        let before = seen.len();
        let mut put = |id: u64, text: &Utf8Bytes| {
            if let Some(entry) = inner.connections.get(&id).filter(|_| seen.insert(id)) {
                entry.outbox.push(
                    Frame {
                        text: text.clone(),
                        track: to.track,
                    },
                    to.priority,
                );
                if let Some(reason) = &to.close {
                    entry.outbox.close(Close::new(code::KICKED, reason.clone()));
                }
            }
        };
        for recipient in &to.recipients {
            // Rendered only for users who are here.
            let Some(ids) = inner.users.get(&recipient.user) else {
                continue;
            };
            let text = render(method, recipient.cursor, body);
            ids.iter().for_each(|id| put(*id, &text));
        }
        let subscribers = to.topics.iter().filter_map(|topic| inner.topics.get(topic)).flatten();
        let sessions = to
            .sessions
            .iter()
            .filter_map(|session| inner.sessions.get(session))
            .flatten();
        let mut shared = None;
        for id in subscribers.chain(sessions) {
            put(*id, shared.get_or_insert_with(|| render(method, None, body)));
        }
        seen.len() - before
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn subscribe(&mut self, id: u64, topic: String) {
        let Some(entry) = self.connections.get_mut(&id) else {
            return;
        };
        if self.topics.entry(topic.clone()).or_default().insert(id) {
            entry.topics.push(topic);
        }
    }

    fn connections_of(&self, users: &[u64]) -> Vec<u64> {
        users
            .iter()
            .filter_map(|user| self.users.get(user))
            .flatten()
            .copied()
            .collect()
    }
}

fn forget(index: &mut HashMap<u64, Vec<u64>>, key: u64, id: u64) {
    if let Some(ids) = index.get_mut(&key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}

/// A JSON-RPC notification.
fn render(method: &str, cursor: Option<u64>, body: &RawValue) -> Utf8Bytes {
    let mut text = Vec::with_capacity(body.get().len() + 96);
    text.extend_from_slice(br#"{"jsonrpc":"2.0","method":"#);
    wire::json::serialize(method, &mut text);
    text.extend_from_slice(br#","params":{"#);
    if let Some(cursor) = cursor {
        text.extend_from_slice(format!(r#""cursor":"{cursor}","#).as_bytes());
    }
    text.extend_from_slice(br#""body":"#);
    text.extend_from_slice(body.get().as_bytes());
    text.extend_from_slice(b"}}");
    // Only whole UTF-8 was put together.
    Utf8Bytes::try_from(bytes::Bytes::from(text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Bounds;
    use call::Identity;
    use wire::push::Recipient;

    fn connection(registry: &Registry, id: u64, user: u64) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::new(Bounds {
            frames: 100,
            bytes: 10_000,
        }));
        let identity = Identity {
            user,
            session: user * 10,
            device: "d".into(),
            device_class: "c".into(),
            expires_at: 0,
        };
        registry.insert(
            Arc::new(Connection {
                id,
                node: "n".into(),
                identity,
            }),
            outbox.clone(),
        );
        outbox
    }

    fn audience() -> Audience {
        Audience {
            nodes: Vec::new(),
            recipients: Vec::new(),
            topics: Vec::new(),
            sessions: Vec::new(),
            except_connection: None,
            priority: 1,
            track: None,
            close: None,
        }
    }

    fn body() -> Box<RawValue> {
        RawValue::from_string(r#"{"x":1}"#.to_owned()).expect("JSON")
    }

    #[test]
    fn each_connection_receives_a_notification_once_however_often_it_is_meant() {
        let registry = Registry::default();
        let (one, two, other) = (
            connection(&registry, 1, 7),
            connection(&registry, 2, 7),
            connection(&registry, 3, 8),
        );
        registry.subscribe(&[7, 8], "group/1");
        let to = Audience {
            recipients: vec![Recipient {
                user: 7,
                cursor: Some(5),
            }],
            topics: vec!["group/1".to_owned()],
            sessions: vec![70, 80],
            except_connection: Some(2),
            ..audience()
        };
        assert_eq!(registry.deliver(&to, "message", &body()), 2);
        let taken = one.take(10).frames;
        assert_eq!(taken.len(), 1);
        assert_eq!(
            taken[0].text.as_str(),
            r#"{"jsonrpc":"2.0","method":"message","params":{"cursor":"5","body":{"x":1}}}"#
        );
        assert!(two.take(10).frames.is_empty());
        assert_eq!(
            other.take(10).frames[0].text.as_str(),
            r#"{"jsonrpc":"2.0","method":"message","params":{"body":{"x":1}}}"#
        );
    }

    #[test]
    fn a_removed_connection_leaves_nothing_behind() {
        let registry = Registry::default();
        connection(&registry, 1, 7);
        registry.subscribe_connection(1, vec!["a".to_owned(), "a".to_owned()]);
        registry.remove(1);
        let inner = registry.read();
        assert!(
            inner.connections.is_empty()
                && inner.users.is_empty()
                && inner.sessions.is_empty()
                && inner.topics.is_empty()
        );
    }
}
