//! The life of a chat session: one loop that hears, obeys and settles, and that replaces a lost connection. What
//! is heard is told in [`super::heard`], what is typed is done in [`super::typed`].

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use client::address::Address;
use client::cursor::{Inbox, Source};
use client::error::Error;
use client::frames;
use client::params::{Ack, MarkRead, Nothing, PullGroup, PullInbox, Resume, SetCursor};
use client::records::{Grant, Int, UnreadGroup};
use client::socket::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::heard::Arrival;
use super::names::Names;
use super::terminal::Screen;
use super::typed::Partner;
use crate::failure::{Exit, Failure};

/// How long a frame waits for a missing one before that is pulled.
const HOLD: Duration = Duration::from_millis(50);
const HELD_FRAMES: usize = 256;
/// How often the session looks for pulls and acknowledgements that are due.
const ROUND: Duration = Duration::from_millis(50);
/// After so long without a frame, a pull finds whether one was lost.
const IDLE_PULL: Duration = Duration::from_secs(30);
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MOST: Duration = Duration::from_secs(10);
/// How often a request that the server was too full for is made again.
const RETRIES: u32 = 6;
pub(super) const PAGE: u32 = 500;
pub(super) const CONTACT_PAGES: usize = 20;

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
    address: Address,
    client: Client,
    token: String,
    pub(super) user: u64,
    /// Tells the messages of this run from those that the user sent elsewhere.
    pub(super) run: String,
    pub(super) sent: u64,
    pub(super) inbox: Inbox<Arrival>,
    pub(super) names: Names,
    pub(super) partner: Option<Partner>,
    /// The conversation of each user that was talked to.
    pub(super) conversations: HashMap<u64, u64>,
    pub(super) unacknowledged: Unacknowledged,
    pub(super) screen: Screen,
    /// Whether to ask which groups have something new.
    look_for_groups: bool,
    heard_at: Instant,
}

/// Why something that the user wanted was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The service said no, or nothing: the user is told, and the chat goes on.
    Told(Error),
    /// The chat cannot go on.
    Fatal(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(_) | Error::Late(_) => Self::Told(error),
            _ => Self::Fatal(error.into()),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Fatal(failure)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Told(error) => error.into(),
            Trouble::Fatal(failure) => failure,
        }
    }
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
            run: format!("chat-{:x}-{:x}-", started.as_micros(), std::process::id()),
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

    /// Shows what was missed, then chats until the input ends or the user quits.
    pub(super) async fn live(&mut self, mut lines: mpsc::Receiver<String>) -> Result<(), Failure> {
        self.learn_names().await?;
        self.settle().await?;
        self.screen.whisper("* ready; /help explains")?;
        loop {
            let round = sleep_until(Instant::now() + ROUND);
            tokio::select! {
                text = self.client.next() => match text {
                    Ok(text) => {
                        self.learn_users_in(&text).await?;
                        self.hear(&text)?;
                    }
                    Err(error) => self.restore(error).await?,
                },
                line = lines.recv() => match line {
                    Some(line) => if self.obey(&line).await?.is_break() { break },
                    None => break,
                },
                () = round => self.settle().await?,
            }
        }
        self.settle().await
    }

    /// Says goodbye to the server.
    pub(super) async fn leave(self) {
        self.client.close().await;
    }

    /// A frame came: its time counts for the pull that looks for lost ones.
    fn hear(&mut self, text: &str) -> Result<(), Failure> {
        self.heard_at = Instant::now();
        self.tell(text)
    }

    /// Makes the pulls that are due and acknowledges what was shown.
    async fn settle(&mut self) -> Result<(), Failure> {
        if self.heard_at.elapsed() >= IDLE_PULL {
            self.heard_at = Instant::now();
            self.look_for_groups = true;
            self.inbox.distrust();
        }
        if self.client.take_missed() {
            self.inbox.distrust();
        }
        if self.look_for_groups {
            self.look_for_groups = false;
            self.follow_unread_groups().await?;
        }
        while let Some(pull) = self.inbox.due(std::time::Instant::now()) {
            self.pull(pull.source, pull.since).await?;
        }
        self.acknowledge().await
    }

    /// Large groups are found by asking, when nothing was pushed from them yet.
    async fn follow_unread_groups(&mut self) -> Result<(), Failure> {
        let unread: Vec<UnreadGroup> = self.ask("group-pull.unread", &Nothing {}).await?;
        for UnreadGroup { group, cursor } in unread {
            let source = Source::Group(group.0);
            if !self.inbox.follows(source) {
                self.inbox.follow(source, cursor.0);
                self.inbox.distrust();
            }
        }
        Ok(())
    }

    async fn pull(&mut self, source: Source, mut since: Option<u64>) -> Result<(), Failure> {
        loop {
            let from = since.map(Int);
            let page = match source {
                Source::Inbox => {
                    self.ask_text(
                        "pull-offline.pull",
                        &PullInbox {
                            since: from,
                            limit: PAGE,
                        },
                    )
                    .await
                }
                Source::Group(group) => {
                    let pull = PullGroup {
                        group: Int(group),
                        since: from,
                        limit: PAGE,
                    };
                    self.ask_text("group-pull.pull", &pull).await
                }
            };
            match page {
                Ok(page) => {
                    self.learn_users_in(&page).await?;
                    match self.tell_page(source, &page)? {
                        Some(next) => since = Some(next),
                        None => return Ok(()),
                    }
                }
                Err(Trouble::Told(Error::Refused(refusal))) if !refusal.retryable && source != Source::Inbox => {
                    // The user is no member any more: there is nothing left to follow.
                    self.inbox.forget(source);
                    return Ok(());
                }
                Err(Trouble::Told(Error::Refused(refusal))) if refusal.retryable => {
                    self.inbox.pull_failed(source, std::time::Instant::now());
                    return Ok(());
                }
                Err(trouble) => return Err(trouble.into()),
            }
        }
    }

    /// Acknowledges in one go what was shown since the last time. The answers are not waited for: what gets
    /// lost is covered by the next cursor.
    async fn acknowledge(&mut self) -> Result<(), Failure> {
        let shown = std::mem::take(&mut self.unacknowledged);
        if shown.messages.is_empty() && shown.read.is_empty() && shown.groups.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.send_acknowledgements(&shown).await {
            self.unacknowledged = shown;
            return self.restore(error).await;
        }
        Ok(())
    }

    async fn send_acknowledgements(&mut self, shown: &Unacknowledged) -> Result<(), Error> {
        let cursor = self.inbox.place(Source::Inbox).map(Int);
        for messages in shown.messages.chunks(PAGE as usize) {
            self.client.send("send.ack", &Ack { messages, cursor }).await?;
        }
        for (&conversation, &seq) in &shown.read {
            let read = MarkRead {
                conversation: Int(conversation),
                up_to: Int(seq),
            };
            self.client.send("send.mark-read", &read).await?;
        }
        for (&group, &seq) in &shown.groups {
            self.client
                .send(
                    "group-pull.set-cursor",
                    &SetCursor {
                        group: Int(group),
                        cursor: Int(seq),
                    },
                )
                .await?;
        }
        self.client.flush().await
    }

    /// Asks something that may be asked twice, over as many connections as it takes.
    pub(super) async fn ask<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, Trouble> {
        let text = self.ask_text(method, params).await?;
        Ok(frames::read(&text)?)
    }

    /// As [`Session::ask`], but gives the JSON, for a caller that borrows from it.
    pub(super) async fn ask_text<P: Serialize>(&mut self, method: &str, params: &P) -> Result<String, Trouble> {
        let mut backoff = BACKOFF_FIRST;
        let mut tries = 0;
        loop {
            match self.client.call_text(method, params).await {
                Err(Error::Refused(refusal)) if refusal.retryable && tries < RETRIES => {
                    tries += 1;
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MOST);
                }
                Err(error @ (Error::Closed(_) | Error::Late(_))) => self.restore(error).await?,
                other => return Ok(other?),
            }
        }
    }

    /// Asks something that must not be asked twice. When the connection is lost, whether it was done is unknown.
    pub(super) async fn ask_once<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, Trouble> {
        match self.client.call(method, params).await {
            Err(error @ (Error::Closed(_) | Error::Late(_))) => {
                self.restore(error).await?;
                Err(Trouble::Told(Error::Late(format!(
                    "{method}, which may be done or not"
                ))))
            }
            other => Ok(other?),
        }
    }

    /// Replaces a lost connection, however long that takes, and has everything pulled that came meanwhile.
    async fn restore(&mut self, lost: Error) -> Result<(), Failure> {
        if !lost.is_connection() {
            return Err(lost.into());
        }
        self.hear_the_last()?;
        self.screen.whisper(&format!("* {lost}; connecting again"))?;
        let mut backoff = BACKOFF_FIRST;
        self.client = loop {
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MOST);
            match self.resume().await {
                Ok(client) => break client,
                Err(Error::Refused(refusal)) if refusal.code == "unauthenticated" => {
                    let message = "the session was ended while the connection was lost".to_owned();
                    return Err(Failure {
                        exit: Exit::Kicked,
                        message,
                    });
                }
                Err(Error::Refused(refusal)) if !refusal.retryable => return Err(Error::Refused(refusal).into()),
                Err(Error::Unreadable(reason)) => return Err(Error::Unreadable(reason).into()),
                Err(_) => {}
            }
        };
        self.screen.whisper("* connected again")?;
        self.heard_at = Instant::now();
        self.look_for_groups = true;
        self.inbox.distrust();
        Ok(())
    }

    async fn resume(&self) -> Result<Client, Error> {
        let mut client = Client::connect(&self.address).await?;
        let _: Value = client.call("connection.resume", &Resume { token: &self.token }).await?;
        Ok(client)
    }

    /// The frames that came before the connection ended, while a call waited: shown, not lost. A kick among
    /// them says why it ended.
    fn hear_the_last(&mut self) -> Result<(), Failure> {
        while let Some(text) = self.client.take_waiting() {
            self.hear(&text)?;
        }
        Ok(())
    }
}
