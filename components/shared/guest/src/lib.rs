//! What every component shares: the capabilities of the host and the other functions, as plain
//! Rust functions, and the conversions that they all need.
//!
//! This crate alone touches the WIT imports, the clock and the randomness. Built for a native target, every call goes to
//! the [`native::Host`] that a test gives, so that the code of a capability runs there unchanged, at the test's own time
//! and with its own chance. It refuses to know any rule of instant messaging: those belong to the components.

pub mod bindings;
pub mod cache;
mod error;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
pub mod sql;
#[cfg(target_arch = "wasm32")]
mod wasi;

pub use bindings::mpim::host::gateway::{Audience, Caller, Connection, Identity, Recipient};
pub use bindings::mpim::host::types::{Error as HostError, Priority};
pub use bindings::mpim::im::notify::{
    ContactChange, ContactChangeKind, GroupChange, GroupChangeKind, Kick, PresenceChange, Recall, StateChange, Waiting,
};
pub use bindings::mpim::im::types::{Error, ErrorCode, Message, MessageState, Qos, Receipt};

pub use futures_util::future::join_all;

/// How many calls a batch method takes.
pub const MOST_IN_BATCH: usize = 100;

/// Refuses more calls in a batch than [`MOST_IN_BATCH`].
pub fn check_batch(calls: usize) -> Result<(), Error> {
    match calls > MOST_IN_BATCH {
        true => Err(Error::too_large(format!("{calls} at once, at most {MOST_IN_BATCH}"))),
        false => Ok(()),
    }
}

/// Milliseconds since the epoch, UTC: from WASI's clock in a component, from the test's host in a native build.
pub fn now_ms() -> u64 {
    #[cfg(target_arch = "wasm32")]
    {
        wasi::now_ms()
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        native::host().now_ms()
    }
}

/// Fills bytes with randomness that nobody can guess: WASI's in a component, that of the test's host in a native build.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    #[cfg(target_arch = "wasm32")]
    let filled = wasi::fill_random(bytes);
    #[cfg(not(target_arch = "wasm32"))]
    let filled = native::host().fill_random(bytes).map_err(|error| format!("{error:?}"));
    filled.map_err(|reason| {
        telemetry::log(
            telemetry::Level::Error,
            "no random bytes could be had",
            &[("error", reason)],
        );
        Error::internal("internal error")
    })
}

/// Calls an import: the generated binding in a component, the test's host in a native build.
macro_rules! import {
    (async $interface:path, $method:ident, $native:ident ( $($argument:expr),* )) => {{
        #[cfg(target_arch = "wasm32")]
        {
            use $interface as interface;
            interface::$method($($argument),*).await
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            $crate::native::host().$native($($argument),*).await
        }
    }};
    ($interface:path, $method:ident, $native:ident ( $($argument:expr),* )) => {{
        #[cfg(target_arch = "wasm32")]
        {
            use $interface as interface;
            interface::$method($($argument),*)
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            $crate::native::host().$native($($argument),*)
        }
    }};
}
pub(crate) use import;

/// Unique ids; see `mpim:host/ids`.
pub mod ids {
    /// The next id of this node: 63 bits, growing with time.
    pub fn next() -> u64 {
        crate::import!(crate::bindings::mpim::host::ids, next, next_id())
    }
}

/// Password hashes; see `mpim:host/password`.
pub mod password {
    use crate::Error;

    /// The Argon2id hash of a password, as a PHC string.
    pub async fn hash(password: String) -> Result<String, Error> {
        crate::import!(async crate::bindings::mpim::host::password, hash, hash_password(password)).map_err(Error::from)
    }

    /// Whether the password has the hash.
    pub async fn verify(password: String, hash: String) -> Result<bool, Error> {
        crate::import!(async crate::bindings::mpim::host::password, verify, verify_password(password, hash))
            .map_err(Error::from)
    }
}

/// Settings of the function from the manifest; see `mpim:host/config`.
pub mod config {
    /// The text of a setting, where the manifest has it. A component asks the host once for each key: what it has
    /// does not change while it runs.
    pub fn value(key: &str) -> Option<String> {
        #[cfg(target_arch = "wasm32")]
        {
            use std::cell::RefCell;
            use std::collections::BTreeMap;
            thread_local! {
                static KNOWN: RefCell<BTreeMap<String, Option<String>>> = const { RefCell::new(BTreeMap::new()) };
            }
            KNOWN.with_borrow_mut(|known| match known.get(key) {
                Some(value) => value.clone(),
                None => {
                    let value = crate::bindings::mpim::host::config::value(key);
                    known.insert(key.to_owned(), value.clone());
                    value
                }
            })
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            crate::native::host().config_value(key)
        }
    }

    /// A setting as a value of any type that can be read from text; the default where it is absent
    /// or cannot be read.
    pub fn value_or<T: std::str::FromStr>(key: &str, default: T) -> T {
        value(key).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}

/// Logs and metrics; see `mpim:host/telemetry`.
pub mod telemetry {
    pub use crate::bindings::mpim::host::telemetry::Level;

    /// One line in the log of the host.
    pub fn log(level: Level, message: &str, fields: &[(&str, String)]) {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        crate::import!(
            crate::bindings::mpim::host::telemetry,
            log,
            log(level, message, &fields)
        );
    }

    /// Adds to a counter without labels.
    pub fn count(name: &str, by: u64) {
        crate::import!(crate::bindings::mpim::host::telemetry, counter, counter(name, by, &[]));
    }
}

/// Circuit breakers by name; see `mpim:host/breaker`.
pub mod breaker {
    /// Whether a call may be tried now. Every true must be followed by one [`report`].
    pub fn allow(name: &str) -> bool {
        crate::import!(crate::bindings::mpim::host::breaker, allow, allow_call(name))
    }

    /// Tells how an allowed call ended.
    pub fn report(name: &str, success: bool) {
        crate::import!(crate::bindings::mpim::host::breaker, report, report_call(name, success));
    }
}

/// Token buckets; see `mpim:host/rate-limit`.
pub mod rate_limit {
    use crate::{Error, ErrorCode};

    /// Takes permits of the bucket, all or none, or tells how long to wait.
    pub fn acquire(name: &str, key: &str, permits: u32) -> Result<(), Error> {
        crate::import!(
            crate::bindings::mpim::host::rate_limit,
            acquire,
            acquire_permits(name, key, permits)
        )
        .map_err(|wait_ms| Error {
            code: ErrorCode::RateLimited,
            message: format!("too many requests, retry in {wait_ms} ms"),
            retryable: true,
        })
    }
}

/// Leases by set; see `mpim:host/metadata`.
pub mod metadata {
    use crate::Error;
    pub use crate::bindings::mpim::host::metadata::Lease;

    /// Adds or renews leases; tells for each whether its member is new.
    pub async fn put(leases: Vec<Lease>) -> Result<Vec<bool>, Error> {
        crate::import!(async crate::bindings::mpim::host::metadata, put, put_leases(leases)).map_err(Error::from)
    }

    /// Ends a lease; tells whether it was alive.
    pub async fn remove(set: String, member: String) -> Result<bool, Error> {
        crate::import!(async crate::bindings::mpim::host::metadata, remove, remove_lease(set, member))
            .map_err(Error::from)
    }

    /// The live members of each set, in the order asked.
    pub async fn members(sets: Vec<String>) -> Result<Vec<Vec<String>>, Error> {
        crate::import!(async crate::bindings::mpim::host::metadata, members, set_members(sets)).map_err(Error::from)
    }

    /// How many members of a set are alive.
    pub async fn count(set: String) -> Result<u64, Error> {
        crate::import!(async crate::bindings::mpim::host::metadata, count, count_members(set)).map_err(Error::from)
    }
}

/// Queues by topic; see `mpim:host/queue`.
pub mod queue {
    pub use crate::bindings::mpim::host::queue::Entry;
    use crate::{Error, Priority};

    /// Appends to a topic; gives the id of the entry. A full topic is `overloaded`.
    pub async fn publish(topic: &str, priority: Priority, payload: Vec<u8>) -> Result<u64, Error> {
        let topic = topic.to_owned();
        crate::import!(async crate::bindings::mpim::host::queue, publish, publish(topic, priority, payload))
            .map_err(Error::from)
    }

    /// Up to `max` entries that no consumer of the group has had; waits up to `wait_ms` for the first.
    pub async fn receive(topic: &str, group: &str, max: u32, wait_ms: u32) -> Result<Vec<Entry>, Error> {
        let (topic, group) = (topic.to_owned(), group.to_owned());
        crate::import!(async crate::bindings::mpim::host::queue, receive, receive(topic, group, max, wait_ms))
            .map_err(Error::from)
    }

    /// Ends entries for the group; gives how many were open.
    pub async fn ack(topic: &str, group: &str, ids: Vec<u64>) -> Result<u32, Error> {
        let (topic, group) = (topic.to_owned(), group.to_owned());
        crate::import!(async crate::bindings::mpim::host::queue, ack, ack(topic, group, ids)).map_err(Error::from)
    }
}

/// Topics of connections; see `mpim:host/subscriptions`.
pub mod subscriptions {
    use crate::Error;

    /// Subscribes the live connections of the users.
    pub async fn subscribe(users: Vec<u64>, topic: String) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::host::subscriptions, subscribe, subscribe(users, topic))
            .map_err(Error::from)
    }

    /// Ends the subscription of the live connections of the users.
    pub async fn unsubscribe(users: Vec<u64>, topic: String) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::host::subscriptions, unsubscribe, unsubscribe(users, topic))
            .map_err(Error::from)
    }
}

/// The function `route`; see `mpim:im/route`.
pub mod route {
    use crate::Error;
    pub use crate::bindings::mpim::im::route::Decision;

    /// Where the messages of some users go now.
    pub async fn route_message(users: Vec<u64>) -> Result<Decision, Error> {
        crate::import!(async crate::bindings::mpim::im::route, route_message, route_message(users))
    }
}

/// Private calls of the function `contacts`; see `mpim:im/relations`.
pub mod relations {
    use crate::Error;

    /// The accepted contacts of each of some users, in the order asked.
    pub async fn watchers(users: Vec<u64>) -> Result<Vec<Vec<u64>>, Error> {
        crate::import!(async crate::bindings::mpim::im::relations, watchers, watchers(users))
    }
}

/// Notifications to clients; see `mpim:im/notify`. Each is a hint: what it says is durable in the store.
pub mod notify {
    use crate::{
        Audience, ContactChange, Error, GroupChange, Kick, Message, PresenceChange, Priority, Recall, Recipient,
        StateChange, Waiting,
    };

    impl Audience {
        /// The live connections of some users, on every node.
        pub fn users(users: impl IntoIterator<Item = u64>) -> Self {
            let recipients = users.into_iter().map(|user| Recipient { user, cursor: None }).collect();
            Self {
                recipients,
                ..Self::nobody()
            }
        }

        /// No one, to be filled in.
        pub fn nobody() -> Self {
            Self {
                nodes: Vec::new(),
                recipients: Vec::new(),
                topics: Vec::new(),
                sessions: Vec::new(),
                except_connection: None,
                priority: Priority::Normal,
                track: None,
                close: None,
            }
        }
    }

    /// A new message.
    pub async fn message(to: Audience, body: Message) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::im::notify, message, notify_message(to, body)).map_err(Error::from)
    }

    /// New states of messages, to their sender.
    pub async fn receipt(to: Audience, body: StateChange) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::im::notify, receipt, notify_receipt(to, body)).map_err(Error::from)
    }

    /// A message taken back.
    pub async fn recalled(to: Audience, body: Recall) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::im::notify, recalled, notify_recalled(to, body))
            .map_err(Error::from)
    }

    /// A watched user came or went.
    pub async fn presence(to: Audience, body: PresenceChange) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::im::notify, presence, notify_presence(to, body))
            .map_err(Error::from)
    }

    /// A session was ended.
    pub async fn kicked(to: Audience, body: Kick) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::im::notify, kicked, notify_kicked(to, body)).map_err(Error::from)
    }

    /// A change of a contact.
    pub async fn contact(to: Audience, body: ContactChange) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::im::notify, contact, notify_contact(to, body)).map_err(Error::from)
    }

    /// An inbox reaches up to the cursor of each recipient.
    pub async fn pending(to: Audience, body: Waiting) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::im::notify, pending, notify_pending(to, body)).map_err(Error::from)
    }

    /// A change of a group.
    pub async fn group(to: Audience, body: GroupChange) -> Result<(), Error> {
        crate::import!(async crate::bindings::mpim::im::notify, group, notify_group(to, body)).map_err(Error::from)
    }
}

/// Reports a notification that could not be handed on, and goes on: what it says is durable
/// in the store, and the retry, the pull or the next renewal finds it.
pub fn hint(what: &str, outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        telemetry::count("mpim_hints_lost", 1);
        telemetry::log(
            telemetry::Level::Warn,
            "a notification was not handed on",
            &[("notification", what.to_owned()), ("error", error.message)],
        );
    }
}
