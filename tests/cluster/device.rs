//! One device of a user: it talks and listens at whatever node is there, and loses nothing that it was promised.
//!
//! It says one thing at a time in each conversation and says it again, with the same client id, until it is answered.
//! What it hears goes through [`super::track`]; it acknowledges only what it has shown. It pulls when the rule of a
//! device says so, and never just in case: what nobody tells it of, it does not find.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::socket::{Broken, Socket};
use super::track::{Arrival, Track};
use super::world::{Phase, World};
use crate::harness::accounts::{Receipt, Said, Target};
use crate::harness::audit::number;
use crate::harness::dice::Dice;

const TICK: Duration = Duration::from_millis(20);
/// A call without an answer for so long: the connection is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// Waits between attempts, doubled each time up to the longest.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MOST: Duration = Duration::from_millis(500);
/// How many messages are acknowledged at once, at most.
const ACK_MOST: usize = 500;

/// A conversation in which a device talks.
struct Talk {
    target: Target,
    /// How many others hear what is said.
    audience: u64,
    /// The next thing to say.
    ordinal: u64,
    /// The number of the send that is not answered yet.
    open: Option<usize>,
    begun_at: Instant,
    attempts: u32,
    /// When to send next, or again; none while an answer is awaited.
    send_at: Option<Instant>,
}

/// What an answer will belong to.
enum Asked {
    /// The send in the talk of this number.
    Send(usize),
    Inbox,
    Group(u64),
    Ack(Vec<u64>),
}

/// A device and what it knows.
pub(super) struct Device {
    pub(super) name: String,
    pub(super) user: u64,
    token: String,
    world: Arc<World>,
    dice: Dice,
    talks: Vec<Talk>,
    pub(super) said: Vec<Said>,
    pub(super) inbox: Track,
    /// Groups whose messages have no place in the inbox.
    pub(super) groups: BTreeMap<u64, Track>,
    /// Messages that were shown.
    shown: HashSet<u64>,
    /// By conversation and sender, the next thing to be said.
    ordinals: HashMap<(u64, u64), u64>,
    to_ack: Vec<u64>,
    asked: HashMap<u64, (Asked, Instant)>,
}

impl Device {
    /// A device that has said and heard nothing yet.
    pub(super) fn new(world: Arc<World>, name: String, user: u64, token: String, seed: u64) -> Self {
        Self {
            name,
            user,
            token,
            world,
            dice: Dice::new(seed),
            talks: Vec::new(),
            said: Vec::new(),
            inbox: Track::default(),
            groups: BTreeMap::new(),
            shown: HashSet::new(),
            ordinals: HashMap::new(),
            to_ack: Vec::new(),
            asked: HashMap::new(),
        }
    }

    /// One more conversation to talk in. A group without inboxes is followed by its own places.
    pub(super) fn talks_to(&mut self, target: Target, audience: u64, in_inboxes: bool) {
        let now = Instant::now();
        self.talks.push(Talk {
            target,
            audience,
            ordinal: 0,
            open: None,
            begun_at: now,
            attempts: 0,
            send_at: Some(now),
        });
        if let (Target::Group(group), false) = (target, in_inboxes) {
            self.groups.insert(group, Track::default());
        }
    }

    /// Talks and listens until everybody leaves.
    pub(super) async fn live(mut self) -> Self {
        let world = self.world.clone();
        let mut phase = world.phase.subscribe();
        let mut backoff = BACKOFF_FIRST;
        loop {
            let stay = async {
                let url = world.addresses.any(&mut self.dice).ok_or(Broken::Gone)?;
                let mut socket = Socket::resume(&url, &self.token).await?;
                backoff = BACKOFF_FIRST;
                self.stay(&mut socket).await
            };
            let broken = tokio::select! {
                broken = stay => broken,
                _ = phase.wait_for(|phase| *phase == Phase::Leave) => return self,
            };
            match broken {
                Ok(never) => match never {},
                Err(Broken::Gone) => world.counts.reconnects.add(1),
                Err(Broken::TurnedAway) => world.counts.turned_away.add(1),
                Err(Broken::Refused(reason)) => world.fault(format!("{}: {reason}", self.name)),
            }
            sleep(backoff.mul_f64(0.5 + self.chance())).await;
            backoff = (backoff * 2).min(BACKOFF_MOST);
        }
    }

    fn chance(&mut self) -> f64 {
        self.dice.between(0, 1000) as f64 / 1000.0
    }

    /// Drives a connection until it breaks.
    async fn stay(&mut self, socket: &mut Socket) -> Result<std::convert::Infallible, Broken> {
        let now = Instant::now();
        self.asked.clear();
        for talk in self.talks.iter_mut().filter(|talk| talk.open.is_some()) {
            talk.send_at = Some(now);
        }
        for track in self.groups.values_mut().chain([&mut self.inbox]) {
            track.pulling = false;
        }
        self.doubt(now);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                frame = socket.next() => self.hear(&frame?, Instant::now()),
                _ = tick.tick() => self.tend(socket).await?,
            }
        }
    }

    /// Anything may have been missed.
    fn doubt(&mut self, now: Instant) {
        for track in self.groups.values_mut().chain([&mut self.inbox]) {
            track.pull_by(now);
        }
    }

    /// Does what is due.
    async fn tend(&mut self, socket: &mut Socket) -> Result<(), Broken> {
        let now = Instant::now();
        if self
            .asked
            .values()
            .any(|(_, since)| now.duration_since(*since) > ANSWER_WITHIN)
        {
            return Err(Broken::Gone);
        }
        for index in 0..self.talks.len() {
            if self.talks[index].send_at.is_some_and(|at| at <= now) {
                self.send(socket, index, now).await?;
            }
        }
        self.pull(socket, now).await?;
        if !self.to_ack.is_empty() {
            let most = self.to_ack.len().min(ACK_MOST);
            let messages: Vec<u64> = self.to_ack.drain(..most).collect();
            let ids: Vec<String> = messages.iter().map(u64::to_string).collect();
            let params = json!({ "messages": ids, "cursor": self.inbox.place.to_string() });
            let call = socket.call("send.ack", &params).await?;
            self.asked.insert(call, (Asked::Ack(messages), now));
        }
        Ok(())
    }

    /// Says the next thing in a conversation, or again what is not answered.
    async fn send(&mut self, socket: &mut Socket, index: usize, now: Instant) -> Result<(), Broken> {
        let fresh = self.talks[index].open.is_none();
        if fresh && self.world.phase() != Phase::Talk {
            self.talks[index].send_at = None;
            return Ok(());
        }
        if fresh {
            self.begin(index, now);
        }
        let talk = &mut self.talks[index];
        talk.send_at = None;
        let said = &self.said[talk.open.expect("begun")];
        let qos = if talk.ordinal.is_multiple_of(3) {
            "exactly_once"
        } else {
            "at_least_once"
        };
        let (method, key, id) = match talk.target {
            Target::User(user) => ("send.send-message", "to", user),
            Target::Group(group) => ("send.send-group-message", "group", group),
        };
        let params = json!({ "client_id": said.client_id, "content": said.content, "qos": qos, key: id.to_string() });
        let call = socket.call(method, &params).await?;
        self.asked.insert(call, (Asked::Send(index), now));
        Ok(())
    }

    fn begin(&mut self, index: usize, now: Instant) {
        let talk = &mut self.talks[index];
        self.said.push(Said {
            sender: self.user,
            client_id: format!("{index}-{}", talk.ordinal),
            target: talk.target,
            content: format!("{} {}", talk.ordinal, "x".repeat(self.said.len() % 97)),
            receipt: None,
        });
        talk.open = Some(self.said.len() - 1);
        talk.attempts = 0;
        talk.begun_at = now;
        self.world.counts.begun.add(1);
    }

    async fn pull(&mut self, socket: &mut Socket, now: Instant) -> Result<(), Broken> {
        if self.inbox.is_due(now) {
            let params = json!({ "since": self.inbox.place.to_string() });
            let call = socket.call("pull-offline.pull", &params).await?;
            self.asked.insert(call, (Asked::Inbox, now));
        }
        for (&group, track) in &mut self.groups {
            if track.is_due(now) {
                let params = json!({ "group": group.to_string(), "since": track.place.to_string() });
                let call = socket.call("group-pull.pull", &params).await?;
                self.asked.insert(call, (Asked::Group(group), now));
            }
        }
        Ok(())
    }

    fn hear(&mut self, frame: &Value, now: Instant) {
        match frame["method"].as_str() {
            Some("message") => return self.hear_message(&frame["params"], now),
            Some("pending") => return self.inbox.reaches(number(&frame["params"]["cursor"]), now),
            Some("connection.resync") => return self.doubt(now),
            Some("kicked") => return self.world.fault(format!("{} is kicked: {frame}", self.name)),
            Some(_) => return,
            None => {}
        }
        let Some((asked, _)) = frame["id"].as_u64().and_then(|id| self.asked.remove(&id)) else {
            return;
        };
        match (asked, frame.get("error")) {
            (asked, None) => self.hear_answer(asked, &frame["result"], now),
            (asked, Some(error)) => {
                if error["data"]["retryable"] == true {
                    self.world.counts.turned_away.add(1);
                } else {
                    self.world.fault(format!("{} is refused: {error}", self.name));
                }
                self.try_again(asked, now);
            }
        }
    }

    fn hear_answer(&mut self, asked: Asked, result: &Value, now: Instant) {
        match asked {
            Asked::Send(index) => self.hear_receipt(index, result, now),
            Asked::Ack(_) => {}
            Asked::Inbox => {
                let entries = result["entries"].as_array().expect("entries").iter();
                let entries = entries.map(|entry| (number(&entry["cursor"]), arrival(&entry["message"])));
                self.inbox.pulling = false;
                let (shown, repeats) = self.inbox.page(entries.collect(), number(&result["next"]), now);
                if result["more"] == true {
                    self.inbox.pull_by(now);
                }
                self.world.counts.duplicates_on_wire.add(repeats);
                self.to_ack.extend(shown.iter().map(|arrival| arrival.message));
                self.show(shown);
            }
            Asked::Group(group) => {
                let entries = result["messages"].as_array().expect("messages").iter();
                let entries = entries.map(|message| (number(&message["seq"]), arrival(message)));
                let track = self.groups.get_mut(&group).expect("followed");
                track.pulling = false;
                let (shown, repeats) = track.page(entries.collect(), number(&result["next"]), now);
                if result["more"] == true {
                    track.pull_by(now);
                }
                self.world.counts.duplicates_on_wire.add(repeats);
                self.show(shown);
            }
        }
    }

    /// What was asked was not done for now.
    fn try_again(&mut self, asked: Asked, now: Instant) {
        let later = now + BACKOFF_MOST.mul_f64(0.5 + self.chance());
        match asked {
            Asked::Send(index) => {
                let wait = BACKOFF_FIRST * 2_u32.saturating_pow(self.talks[index].attempts.min(5));
                let wait = wait.min(BACKOFF_MOST).mul_f64(0.5 + self.chance());
                let talk = &mut self.talks[index];
                talk.attempts += 1;
                talk.send_at = Some(now + wait);
            }
            Asked::Ack(messages) => self.to_ack.extend(messages),
            Asked::Inbox => {
                self.inbox.pulling = false;
                self.inbox.pull_by(later);
            }
            Asked::Group(group) => {
                let track = self.groups.get_mut(&group).expect("followed");
                track.pulling = false;
                track.pull_by(later);
            }
        }
    }

    fn hear_receipt(&mut self, index: usize, result: &Value, now: Instant) {
        let receipt = Receipt {
            message: number(&result["message"]),
            conversation: number(&result["conversation"]),
            seq: number(&result["seq"]),
        };
        let pause = self.world.pace.mul_f64(2.0 * self.chance());
        let talk = &mut self.talks[index];
        // A repeat of it was answered before.
        let Some(open) = talk.open.take() else { return };
        self.said[open].receipt = Some(receipt);
        let ordinal = talk.ordinal;
        talk.ordinal += 1;
        talk.send_at = Some(now + pause);
        let counts = &self.world.counts;
        let waited = now.duration_since(talk.begun_at).as_millis();
        counts.longest_gap_ms.raise(u64::try_from(waited).unwrap_or(u64::MAX));
        counts.expected.add(talk.audience);
        counts.accepted.add(1);
        if let Some(track) = self.groups.get_mut(&receipt.conversation) {
            let own = Arrival {
                message: receipt.message,
                conversation: receipt.conversation,
                seq: receipt.seq,
                sender: self.user,
                ordinal,
            };
            let shown = track.take(receipt.seq, own, now).unwrap_or_default();
            self.show(shown);
        }
    }

    fn hear_message(&mut self, params: &Value, now: Instant) {
        let arrival = arrival(&params["body"]);
        let (message, group) = (arrival.message, arrival.conversation);
        let in_inbox = params.get("cursor").is_some();
        let shown = if in_inbox {
            self.inbox.take(number(&params["cursor"]), arrival, now)
        } else if let Some(track) = self.groups.get_mut(&group) {
            track.take(arrival.seq, arrival, now)
        } else {
            // What a former connection of this device said: the receipt tells of it.
            return;
        };
        match shown {
            Some(shown) if in_inbox => {
                self.to_ack.extend(shown.iter().map(|arrival| arrival.message));
                self.show(shown);
            }
            Some(shown) => self.show(shown),
            None => {
                self.world.counts.duplicates_on_wire.add(1);
                // Pushed again, so that an acknowledgement must have been lost.
                if in_inbox && self.shown.contains(&message) {
                    self.to_ack.push(message);
                }
            }
        }
    }

    /// Shows messages: each once, and what one sender says in one conversation in order and without a gap.
    fn show(&mut self, shown: Vec<Arrival>) {
        let counts = &self.world.counts;
        for arrival in shown {
            if !self.shown.insert(arrival.message) {
                counts.duplicates_shown.add(1);
                self.world.fault(format!("{} shows {arrival:?} again", self.name));
                continue;
            }
            let next = self.ordinals.entry((arrival.conversation, arrival.sender)).or_default();
            if arrival.ordinal != *next {
                counts.out_of_order.add(1);
                let track = self.groups.get(&arrival.conversation).unwrap_or(&self.inbox);
                self.world.fault(format!(
                    "{} shows {arrival:?} where {next} was to come, after {:?}",
                    self.name, track.heard
                ));
            }
            *next = arrival.ordinal + 1;
            counts.delivered.add(u64::from(arrival.sender != self.user));
        }
    }
}

fn arrival(message: &Value) -> Arrival {
    let content = message["content"].as_str().expect("text");
    let ordinal = content.split(' ').next().and_then(|ordinal| ordinal.parse().ok());
    Arrival {
        message: number(&message["id"]),
        conversation: number(&message["conversation"]),
        seq: number(&message["seq"]),
        sender: number(&message["sender"]),
        ordinal: ordinal.unwrap_or_else(|| panic!("nobody said {message}")),
    }
}
