//! What a member does: it speaks its lines, pulls what is missing, acknowledges, and drops its connection now and then.
//! One task drives it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use client::accounts::resume;
use client::cursor::Source;
use client::error::Error;
use client::params::{Ack, PullGroup, PullInbox, SendGroupMessage, SetCursor};
use client::records::Int;
use client::socket::Client;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::member::{Asked, BACKOFF_FIRST, BACKOFF_MOST, Flight, Leaving, Member};
use super::play::Circle;

/// How many sends of a speaker wait for their answers.
const WINDOW: usize = 8;
const TICK: Duration = Duration::from_millis(100);
/// After so long without a frame, a pull finds whether one was lost.
const SILENCE: Duration = Duration::from_secs(3);
/// How many entries of the inbox one acknowledgement covers.
const ACK_ENTRIES: u64 = 200;
const PAGE: u32 = 500;

/// What a round ended with.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    On,
    /// The connection is to be dropped now.
    Drop,
    Stop,
}

impl Member {
    /// Speaks and hears until it is told to stop.
    pub(super) async fn perform(
        mut self,
        mut client: Client,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Leaving, Error> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.round(&mut client, &mut stop, &mut tick).await {
                Ok(Round::On) => continue,
                Ok(Round::Stop) => break,
                Ok(Round::Drop) => {
                    self.counts.drops += 1;
                    client.abandon();
                }
                Err(error) if error.is_connection() => self.counts.losses += 1,
                Err(error) => return Err(error),
            }
            match self.reconnect(&stop).await? {
                Some(resumed) => client = resumed,
                None => return Ok(self.leave()),
            }
        }
        client.close().await;
        Ok(self.leave())
    }

    async fn round(
        &mut self,
        client: &mut Client,
        stop: &mut watch::Receiver<bool>,
        tick: &mut Interval,
    ) -> Result<Round, Error> {
        if *stop.borrow_and_update() {
            return Ok(Round::Stop);
        }
        if self.speak(client).await? == Round::Drop {
            return Ok(Round::Drop);
        }
        self.pull(client).await?;
        self.sign_off(client).await?;
        tokio::select! {
            // Frames first: the rest is done in every round anyway, or can wait until none is there.
            biased;
            text = client.next() => self.hear(&text?)?,
            _ = tick.tick() => self.tend(client).await?,
            _ = stop.changed() => {}
        }
        if client.take_missed() {
            self.inbox.distrust();
        }
        Ok(Round::On)
    }

    /// Fills the window. After a line behind which the connection is to drop, says so.
    async fn speak(&mut self, client: &mut Client) -> Result<Round, Error> {
        let script = self.stage.play.lines_of(self.index).len() * 2;
        if self.next >= script || self.in_flight.len() >= WINDOW {
            return Ok(Round::On);
        }
        while self.next < script && self.in_flight.len() < WINDOW {
            let number = self.next;
            self.next += 1;
            self.in_flight.insert(number, Flight::default());
            self.send(client, number).await?;
            if self.drops.front() == Some(&number) {
                self.drops.pop_front();
                client.flush().await?;
                return Ok(Round::Drop);
            }
        }
        client.flush().await?;
        Ok(Round::On)
    }

    async fn send(&mut self, client: &mut Client, number: usize) -> Result<(), Error> {
        let Some(slot) = self.slot(number) else {
            return Ok(());
        };
        let Some(line) = self.stage.play.line(slot.line()) else {
            return Ok(());
        };
        let group = Int(self.stage.groups.of(self.index, slot.circle()).id);
        let client_id = format!("{}-{}", self.stage.run, slot.0);
        self.stage.ledger.sent(slot, Instant::now());
        let send = SendGroupMessage {
            group,
            client_id: &client_id,
            content: &line.text,
        };
        let id = client.send("send.send-group-message", &send).await?;
        self.asked.insert(id, Asked::Send(number));
        Ok(())
    }

    /// Asks for what is missing.
    async fn pull(&mut self, client: &mut Client) -> Result<(), Error> {
        let mut asked = false;
        while let Some(pull) = self.more.pop().or_else(|| self.inbox.due(Instant::now())) {
            let since = pull.since.map(Int);
            let id = match pull.source {
                Source::Inbox => {
                    client
                        .send("pull-offline.pull", &PullInbox { since, limit: PAGE })
                        .await?
                }
                Source::Group(group) => {
                    let page = PullGroup {
                        group: Int(group),
                        since,
                        limit: PAGE,
                    };
                    client.send("group-pull.pull", &page).await?
                }
            };
            self.asked.insert(id, Asked::Pull(pull.source));
            self.counts.pulls += 1;
            asked = true;
        }
        if asked { client.flush().await } else { Ok(()) }
    }

    /// Acknowledges now and then, and for the last time when everything is there.
    async fn sign_off(&mut self, client: &mut Client) -> Result<(), Error> {
        let position = self.inbox.position(Source::Inbox).unwrap_or(0);
        let complete = self.is_complete();
        if position >= self.acked + ACK_ENTRIES || (complete && !self.signed_off && position > self.acked) {
            self.acked = position;
            let id = client
                .send(
                    "send.ack",
                    &Ack {
                        messages: &[],
                        cursor: Some(Int(position)),
                    },
                )
                .await?;
            self.asked.insert(id, Asked::Mark);
            client.flush().await?;
        }
        if complete && !self.signed_off {
            self.signed_off = true;
            for circle in Circle::BOTH {
                let group = self.stage.groups.of(self.index, circle);
                if let Some(cursor) = self.inbox.position(Source::Group(group.id)).filter(|_| group.large) {
                    let mark = SetCursor {
                        group: Int(group.id),
                        cursor: Int(cursor),
                    };
                    let id = client.send("group-pull.set-cursor", &mark).await?;
                    self.asked.insert(id, Asked::Mark);
                }
            }
            client.flush().await?;
        }
        if self.signed_off && !self.finished && self.asked.is_empty() {
            self.finished = true;
            self.stage.progress.finished.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What is done now and then: sends that the service was too full for are made again, and a silence is
    /// looked into.
    async fn tend(&mut self, client: &mut Client) -> Result<(), Error> {
        let now = Instant::now();
        let due = |flight: &Flight| flight.retry_at.is_some_and(|at| at <= now);
        let numbers: Vec<usize> = self
            .in_flight
            .iter()
            .filter(|(_, flight)| due(flight))
            .map(|(number, _)| *number)
            .collect();
        for &number in &numbers {
            if let Some(flight) = self.in_flight.get_mut(&number) {
                flight.retry_at = None;
            }
            self.send(client, number).await?;
        }
        if !self.is_complete() && now.duration_since(self.heard_at) >= SILENCE {
            self.heard_at = now;
            self.counts.idle_pulls += 1;
            self.inbox.distrust();
        }
        if numbers.is_empty() {
            Ok(())
        } else {
            client.flush().await
        }
    }

    /// Opens the next connection of the session, sends again what was not answered, and has everything pulled.
    async fn reconnect(&mut self, stop: &watch::Receiver<bool>) -> Result<Option<Client>, Error> {
        let mut backoff = BACKOFF_FIRST;
        self.asked.clear();
        self.more.clear();
        self.inbox.distrust();
        self.heard_at = Instant::now();
        loop {
            if *stop.borrow() {
                return Ok(None);
            }
            match self.resume().await {
                Ok(client) => return Ok(Some(client)),
                Err(Error::Refused(refusal)) if !refusal.retryable => return Err(Error::Refused(refusal)),
                Err(error @ Error::Unreadable(_)) => return Err(error),
                Err(_) => {
                    self.asked.clear();
                    self.server += 1;
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MOST);
                }
            }
        }
    }

    async fn resume(&mut self) -> Result<Client, Error> {
        let mut client = resume(self.stage.servers.of(self.server), &self.token).await?;
        let unanswered: Vec<usize> = self.in_flight.keys().copied().collect();
        for number in unanswered {
            if let Some(flight) = self.in_flight.get_mut(&number) {
                flight.retry_at = None;
            }
            if let Some(slot) = self.slot(number) {
                self.stage.ledger.sent_again(slot);
            }
            self.send(&mut client, number).await?;
        }
        client.flush().await?;
        Ok(client)
    }
}
