//! A chat session: the connection, and what a terminal knows. What is heard is told in [`super::heard`], what is asked
//! goes through [`super::calls`], what is typed is done in [`super::typed`], and [`super::life`] is the loop over all of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use client::address::Address;
use client::cursor::{Inbox, Source};
use client::records::{Grant, Int};
use client::socket::Client;
use tokio::time::Instant;

use super::arrival::Arrival;
use super::names::Names;
use super::terminal::Screen;

/// How long a frame waits for a missing one before that is pulled.
const HOLD: Duration = Duration::from_millis(50);
const HELD_FRAMES: usize = 256;
/// Entries of a page, and whatever else is asked for by the page.
pub(super) const PAGE: u32 = 500;

/// Whom the user talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partner {
    /// A user, by id.
    User(u64),
    /// A group, by id.
    Group(u64),
}

/// What was shown and is still to be acknowledged.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    pub(super) messages: Vec<Int>,
    /// Conversations of two and small groups, and how far they were shown.
    pub(super) read: BTreeMap<u64, u64>,
    /// Large groups, and how far they were shown.
    pub(super) groups: BTreeMap<u64, u64>,
}

/// A logged-in terminal.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) address: Address,
    pub(super) client: Client,
    pub(super) token: String,
    pub(super) user: u64,
    /// Begins the client ids of this session: tells its messages from those of the user's other devices.
    pub(super) prefix: String,
    pub(super) sent: u64,
    pub(super) inbox: Inbox<Arrival>,
    pub(super) names: Names,
    pub(super) partner: Option<Partner>,
    /// The conversation of each user that was talked to.
    pub(super) conversations: HashMap<u64, u64>,
    pub(super) unacknowledged: Unacknowledged,
    pub(super) screen: Screen,
    /// Whether to ask which groups have something new.
    pub(super) look_for_groups: bool,
    pub(super) heard_at: Instant,
}

impl Session {
    /// A session on a connection that has just logged in.
    pub(super) fn new(address: Address, client: Client, grant: Grant, name: &str, screen: Screen) -> Self {
        let mut names = Names::default();
        names.learn(grant.user.0, name);
        let mut inbox = Inbox::new(HOLD, HELD_FRAMES);
        inbox.follow_unknown(Source::Inbox);
        let started = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            address,
            client,
            token: grant.token,
            user: grant.user.0,
            prefix: format!("chat-{:x}-{:x}-", started.as_micros(), std::process::id()),
            sent: 0,
            inbox,
            names,
            partner: None,
            conversations: HashMap::new(),
            unacknowledged: Unacknowledged::default(),
            screen,
            look_for_groups: true,
            heard_at: Instant::now(),
        }
    }

    /// Says goodbye to the server.
    pub(super) async fn leave(self) {
        self.client.close().await;
    }
}
