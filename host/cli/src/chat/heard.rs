//! What a terminal hears: each notification and each pulled page becomes lines, every message once.

use std::time::Instant;

use client::cursor::{Fed, Source};
use client::frames::{self, Frame, Notice, RESYNC};
use client::records::{
    ContactChange, GroupChange, GroupPage, InboxPage, Int, Kick, Message, PresenceChange, Recall, StateChange, Waiting,
};

use super::arrival::{Arrival, Said};
use super::clock::clock;
use super::session::Session;
use crate::failure::{Exit, Failure};

impl Session {
    /// Tells what a frame says.
    pub(super) fn tell(&mut self, text: &str) -> Result<(), Failure> {
        let Frame::Notification { name, params } = Frame::read(text)? else {
            return Ok(());
        };
        match name.as_ref() {
            "message" => self.tell_message(params.read()?),
            "recalled" => self.tell_recall(&params.read()?),
            "receipt" => self.tell_receipt(&params.read::<Notice<StateChange<'_>>>()?.body),
            "presence" => {
                let change = params.read::<Notice<PresenceChange>>()?.body;
                let state = if change.online { "online" } else { "offline" };
                self.screen
                    .whisper(&format!("* {} is {state}", self.names.user(change.user.0)))
            }
            "kicked" => Err(kicked(params.read::<Notice<Kick>>()?.body)),
            "contact" => {
                let change = params.read::<Notice<ContactChange<'_>>>()?.body;
                self.screen.whisper(&format!(
                    "* contact {}: {}",
                    self.names.user(change.user.0),
                    change.change
                ))
            }
            "pending" => {
                let head = params.read::<Notice<Waiting>>()?.cursor.unwrap_or_default();
                self.inbox.reaches(Source::Inbox, head.0, Instant::now());
                Ok(())
            }
            RESYNC => {
                self.inbox.doubt();
                Ok(())
            }
            "group" => self.tell_group(&params.read::<Notice<GroupChange<'_>>>()?.body),
            // A newer server may say more than this terminal understands.
            _ => Ok(()),
        }
    }

    fn tell_message(&mut self, notice: Notice<Message<'_>>) -> Result<(), Failure> {
        let said = self.said(&notice.body);
        let source = match (notice.cursor, said.group) {
            (Some(_), _) => Some(Source::Inbox),
            (None, Some(group)) if said.kept || self.inbox.follows(Source::Group(group)) => Some(Source::Group(group)),
            // At most once: it is in no sequence, and is never pulled.
            (None, _) => None,
        };
        let seq = notice.cursor.map_or(said.seq, |cursor| cursor.0);
        self.arrive(source, seq, Arrival::Said(said))
    }

    fn tell_recall(&mut self, notice: &Notice<Recall>) -> Result<(), Failure> {
        let Recall { conversation, by, at } = notice.body;
        let arrival = Arrival::Recalled {
            by: by.0,
            conversation: conversation.0,
            at: at.0,
        };
        self.arrive(
            notice.cursor.map(|_| Source::Inbox),
            notice.cursor.unwrap_or_default().0,
            arrival,
        )
    }

    fn arrive(&mut self, source: Option<Source>, seq: u64, arrival: Arrival) -> Result<(), Failure> {
        let mut shown = Vec::new();
        match source {
            None => shown.push(arrival),
            Some(source) => {
                self.inbox.feed(source, seq, arrival, Instant::now(), &mut shown);
            }
        }
        self.show(shown)
    }

    /// A message of this session has its sequence number: a large group's sequence is not to wait for it.
    pub(super) fn own_message(&mut self, group: u64, seq: u64) -> Result<(), Failure> {
        let source = Source::Group(group);
        let mut shown = Vec::new();
        if self.inbox.follows(source) && self.inbox.pass(source, seq, Instant::now(), &mut shown) == Fed::Shown {
            self.unacknowledged
                .groups
                .insert(group, self.inbox.position(source).unwrap_or(seq));
        }
        self.show(shown)
    }

    /// Shows a pulled page; gives the position to pull from next, when there is more.
    pub(super) fn tell_page(&mut self, source: Source, page: &str) -> Result<Option<u64>, Failure> {
        let (entries, next, more) = match source {
            Source::Inbox => {
                let page: InboxPage<'_> = frames::read(page)?;
                let entries = page.entries.iter().map(|entry| {
                    let arrival = match entry.kind.as_ref() {
                        "recall" => self.recalled(&entry.message),
                        _ => Arrival::Said(self.said(&entry.message)),
                    };
                    (entry.cursor.0, arrival)
                });
                (entries.collect::<Vec<_>>(), page.next.0, page.more)
            }
            Source::Group(_) => {
                let page: GroupPage<'_> = frames::read(page)?;
                let entries = page
                    .messages
                    .iter()
                    .map(|message| (message.seq.0, Arrival::Said(self.said(message))));
                (entries.collect(), page.next.0, page.more)
            }
        };
        let mut shown = Vec::new();
        self.inbox.page(source, entries, next, more, Instant::now(), &mut shown);
        self.show(shown)?;
        Ok(if more { self.inbox.position(source) } else { None })
    }

    fn said(&self, message: &Message<'_>) -> Said {
        let peer = if message.sender.0 == self.user {
            message.to
        } else {
            Some(message.sender)
        };
        Said {
            id: message.id.0,
            conversation: message.conversation.0,
            seq: message.seq.0,
            sender: message.sender.0,
            peer: peer.filter(|_| message.group.is_none()).map(|peer| peer.0),
            group: message.group.map(|group| group.0),
            content: message.content.clone().into_owned(),
            recalled: message.recalled_at.is_some(),
            at: message.created_at.0,
            own: message.sender.0 == self.user && message.client_id.starts_with(&self.prefix),
            kept: message.qos != "at_most_once",
        }
    }

    fn recalled(&self, message: &Message<'_>) -> Arrival {
        let at = message.recalled_at.unwrap_or(message.created_at).0;
        Arrival::Recalled {
            by: message.sender.0,
            conversation: message.conversation.0,
            at,
        }
    }

    fn show(&mut self, shown: Vec<Arrival>) -> Result<(), Failure> {
        for arrival in shown {
            match arrival {
                Arrival::Said(said) => {
                    if !said.own {
                        self.screen.say(&self.line(&said))?;
                    }
                    self.note(&said);
                }
                Arrival::Recalled { by, conversation, at } => {
                    let group = self
                        .names
                        .known_group(conversation)
                        .map_or(String::new(), |name| format!("{name}/"));
                    let line = format!("[{}] {group}{} took a message back", clock(at), self.names.user(by));
                    self.screen.whisper(&line)?;
                }
            }
        }
        Ok(())
    }

    /// How a message is printed.
    fn line(&self, said: &Said) -> String {
        let group = said
            .group
            .map_or(String::new(), |group| format!("{}/", self.names.group(group)));
        let (time, name) = (clock(said.at), self.names.user(said.sender));
        match said.recalled {
            true => format!("[{time}] {group}{name} took this message back"),
            false => format!("[{time}] {group}{name}: {}", said.content),
        }
    }

    /// How messages of the history are printed.
    pub(super) fn history_line(&self, message: &Message<'_>) -> String {
        self.line(&self.said(message))
    }

    /// What was shown is acknowledged later, with others.
    fn note(&mut self, said: &Said) {
        let large = said.group.filter(|group| self.inbox.follows(Source::Group(*group)));
        if let Some(group) = large {
            let seq = self.unacknowledged.groups.entry(group).or_default();
            *seq = said.seq.max(*seq);
            return;
        }
        if let Some(peer) = said.peer {
            self.conversations.insert(peer, said.conversation);
        }
        if said.kept && said.sender != self.user {
            self.unacknowledged.messages.push(Int(said.id));
            let seq = self.unacknowledged.read.entry(said.conversation).or_default();
            *seq = said.seq.max(*seq);
        }
    }

    fn tell_receipt(&self, change: &StateChange<'_>) -> Result<(), Failure> {
        let mark = match change.state.as_ref() {
            "delivered" => "✓ delivered",
            "read" => "✓✓ read",
            _ => return Ok(()),
        };
        let count = match change.messages.len() {
            0 | 1 => String::new(),
            many => format!(" ({many})"),
        };
        self.screen
            .whisper(&format!("  {mark}: {}{count}", self.names.user(change.by.0)))
    }

    fn tell_group(&self, change: &GroupChange<'_>) -> Result<(), Failure> {
        let (group, user) = (self.names.group(change.group.0), self.names.user(change.user.0));
        self.screen.whisper(&format!(
            "* {group} (/group {}): {user} {}",
            change.group,
            change.change.replace('_', " ")
        ))
    }
}

fn kicked(kick: Kick) -> Failure {
    let by = kick.by_device.map_or(String::new(), |device| {
        format!(", by a login on a device of class {device}")
    });
    Failure {
        exit: Exit::Kicked,
        message: format!("the session was ended: {}{by}", kick.reason),
    }
}
