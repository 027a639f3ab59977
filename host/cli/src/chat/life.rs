//! The life of a chat session: one loop that hears, obeys and settles.

use std::time::Duration;

use client::cursor::Source;
use client::error::Error;
use client::params::{Ack, MarkRead, Nothing, PullGroup, PullInbox, SetCursor};
use client::records::{Int, UnreadGroup};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::session::{PAGE, Session, Unacknowledged};
use super::trouble::Trouble;
use crate::failure::Failure;

/// How often the session looks for pulls and acknowledgements that are due.
const ROUND: Duration = Duration::from_millis(50);
/// After so long without a frame, a pull finds whether one was lost.
const IDLE_PULL: Duration = Duration::from_secs(30);

impl Session {
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
        let cursor = self.inbox.position(Source::Inbox).map(Int);
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
}
