//! One user who talks and listens over real sockets, and remembers all of it while nodes die.
//!
//! A person keeps many sends in flight, sees what is pushed and pulls what is missing, by the rule of a device: the
//! next place is seen, a former one is a repeat, a later one calls for a pull.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::harness::accounts::{Entry, Receipt, Said, Target};
use crate::harness::audit::number;
use crate::harness::{Client, Node};

/// How many sends wait for their answers.
const WINDOW: usize = 6;
/// After how many places of the inbox an acknowledgement goes out.
const ACK_AFTER: usize = 16;

/// How far a device is in an inbox, or in a group.
#[derive(Debug, Default)]
pub(super) struct Seen {
    place: u64,
    /// In the order in which the device showed them.
    pub(super) entries: Vec<Entry>,
    pulling: bool,
}

impl Seen {
    /// Takes a message at a place. Gives whether something before it is missing.
    fn take(&mut self, place: u64, message: u64) -> bool {
        if place == self.place + 1 {
            self.place = place;
            self.entries.push((place, message));
        }
        place > self.place
    }
}

/// What an answer will belong to.
enum Asked {
    /// The send of this number.
    Send(usize),
    /// A page of the inbox.
    Inbox,
    /// A page of a group.
    Group(u64),
    Ack,
}

/// When a person has done enough.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// The connection ends.
    Closed,
    /// So many things more were said, and all are answered.
    Said(usize),
}

/// A user and what they know.
pub(super) struct Person {
    pub(super) name: String,
    pub(super) user: u64,
    token: String,
    targets: Vec<Target>,
    pub(super) said: Vec<Said>,
    /// Sends without an answer, in order.
    open: VecDeque<usize>,
    pub(super) inbox: Seen,
    /// Groups whose messages have no place in the inbox.
    pub(super) groups: BTreeMap<u64, Seen>,
    to_ack: Vec<u64>,
    asked: HashMap<u64, Asked>,
    in_flight: usize,
    /// Counts the answers of all persons.
    answers: Arc<watch::Sender<u64>>,
}

impl Person {
    /// A person who has said nothing yet.
    pub(super) fn new(client: &Client, name: String, answers: Arc<watch::Sender<u64>>) -> Self {
        Self {
            name,
            user: client.user.parse().expect("a number"),
            token: client.token.clone(),
            targets: Vec::new(),
            said: Vec::new(),
            open: VecDeque::new(),
            inbox: Seen::default(),
            groups: BTreeMap::new(),
            to_ack: Vec::new(),
            asked: HashMap::new(),
            in_flight: 0,
            answers,
        }
    }

    /// One more to whom this person talks, in turn. A group without inboxes is followed by its own places.
    pub(super) fn talks_to(&mut self, target: Target, in_inboxes: bool) {
        self.targets.push(target);
        if let (Target::Group(group), false) = (target, in_inboxes) {
            self.groups.insert(group, Seen::default());
        }
    }

    /// Resumes the session, says again what was not answered, pulls what was missed, and talks. Gives why the
    /// connection ended; nothing when this person did.
    pub(super) async fn talk(&mut self, node: &Node, until: Until) -> Option<CloseFrame> {
        let mut client = Client::resume(node, &self.token)
            .await
            .expect("a token outlives its node");
        self.asked.clear();
        self.in_flight = self.open.len();
        for number in self.open.clone() {
            self.send(&mut client, number).await;
        }
        self.pull_inbox(&mut client).await;
        for group in self.groups.keys().copied().collect::<Vec<_>>() {
            self.pull_group(&mut client, group).await;
        }
        let most = match until {
            Until::Closed => usize::MAX,
            Until::Said(more) => self.said.len() + more,
        };
        loop {
            while self.in_flight < WINDOW && self.said.len() < most {
                self.say(&mut client).await;
            }
            if self.said.len() >= most && self.asked.is_empty() {
                return None;
            }
            match client.next().await {
                Ok(frame) => self.hear(&mut client, &frame).await,
                Err(close) => return close,
            }
        }
    }

    /// Pulls until nothing is missing.
    pub(super) async fn catch_up(&mut self, node: &Node) {
        self.talk(node, Until::Said(0)).await;
    }

    async fn say(&mut self, client: &mut Client) {
        let number = self.said.len();
        let target = self.targets[number % self.targets.len()];
        let content = format!("{} says {number} {}", self.name, "x".repeat(number % 97));
        let client_id = number.to_string();
        self.said.push(Said {
            sender: self.user,
            client_id,
            target,
            content,
            receipt: None,
        });
        self.open.push_back(number);
        self.in_flight += 1;
        self.send(client, number).await;
    }

    async fn send(&mut self, client: &mut Client, number: usize) {
        let said = &self.said[number];
        let qos = if number.is_multiple_of(3) {
            "exactly_once"
        } else {
            "at_least_once"
        };
        let mut params = json!({ "client_id": said.client_id, "content": said.content, "qos": qos });
        let (method, key, id) = match said.target {
            Target::User(user) => ("send.send-message", "to", user),
            Target::Group(group) => ("send.send-group-message", "group", group),
        };
        params[key] = id.to_string().into();
        let id = client.begin(method, params).await;
        self.asked.insert(id, Asked::Send(number));
    }

    async fn pull_inbox(&mut self, client: &mut Client) {
        self.inbox.pulling = true;
        let id = client
            .begin("pull-offline.pull", json!({ "since": self.inbox.place.to_string() }))
            .await;
        self.asked.insert(id, Asked::Inbox);
    }

    async fn pull_group(&mut self, client: &mut Client, group: u64) {
        let seen = self.groups.get_mut(&group).expect("followed");
        seen.pulling = true;
        let params = json!({ "group": group.to_string(), "since": seen.place.to_string() });
        let id = client.begin("group-pull.pull", params).await;
        self.asked.insert(id, Asked::Group(group));
    }

    async fn hear(&mut self, client: &mut Client, frame: &Value) {
        if frame["method"] == "message" {
            return self.hear_message(client, &frame["params"]).await;
        }
        let Some(asked) = frame["id"].as_u64().and_then(|id| self.asked.remove(&id)) else {
            return;
        };
        if let Asked::Send(number) = asked {
            return self.hear_receipt(client, number, frame).await;
        }
        let result = frame
            .get("result")
            .unwrap_or_else(|| panic!("{} is refused: {frame}", self.name));
        match asked {
            Asked::Inbox => {
                self.inbox.pulling = false;
                for entry in result["entries"].as_array().expect("entries") {
                    self.see(number(&entry["cursor"]), number(&entry["message"]["id"]));
                }
                if result["more"] == true {
                    self.pull_inbox(client).await;
                }
            }
            Asked::Group(group) => {
                let seen = self.groups.get_mut(&group).expect("followed");
                seen.pulling = false;
                for message in result["messages"].as_array().expect("messages") {
                    let missing = seen.take(number(&message["seq"]), number(&message["id"]));
                    assert!(!missing, "a page of {group} has a gap before {}", message["seq"]);
                }
                if result["more"] == true {
                    self.pull_group(client, group).await;
                }
            }
            Asked::Ack | Asked::Send(_) => {}
        }
        self.acknowledge(client).await;
    }

    /// An entry of a page.
    fn see(&mut self, place: u64, message: u64) {
        assert!(
            !self.inbox.take(place, message),
            "a page of {} has a gap before {place}",
            self.name
        );
        self.to_ack.push(message);
    }

    async fn hear_message(&mut self, client: &mut Client, params: &Value) {
        let body = &params["body"];
        let (message, seq) = (number(&body["id"]), number(&body["seq"]));
        if params.get("cursor").is_some() {
            let missing = self.inbox.take(number(&params["cursor"]), message);
            // What the device did not keep it must not acknowledge: a pull passes over what is wanted exactly once
            // and was acknowledged.
            if !missing {
                self.to_ack.push(message);
            } else if !self.inbox.pulling {
                self.pull_inbox(client).await;
            }
            return self.acknowledge(client).await;
        }
        let group = body.get("group").map(number);
        if let Some((group, seen)) = group.and_then(|group| Some((group, self.groups.get_mut(&group)?)))
            && seen.take(seq, message)
            && !seen.pulling
        {
            self.pull_group(client, group).await;
        }
    }

    async fn hear_receipt(&mut self, client: &mut Client, number: usize, frame: &Value) {
        let Some(result) = frame.get("result") else {
            assert_eq!(
                frame["error"]["data"]["retryable"], true,
                "{} is refused: {frame}",
                self.name
            );
            return self.send(client, number).await;
        };
        let receipt = receipt(result);
        let said = &mut self.said[number];
        said.receipt = Some(receipt);
        self.open.retain(|open| *open != number);
        self.in_flight -= 1;
        if let Target::Group(group) = said.target
            && let Some(seen) = self.groups.get_mut(&group)
            && seen.take(receipt.seq, receipt.message)
            && !seen.pulling
        {
            self.pull_group(client, group).await;
        }
        self.answers.send_modify(|answers| *answers += 1);
    }

    async fn acknowledge(&mut self, client: &mut Client) {
        if self.to_ack.len() < ACK_AFTER {
            return;
        }
        let messages: Vec<String> = self.to_ack.drain(..).take(500).map(|id| id.to_string()).collect();
        let params = json!({ "messages": messages, "cursor": self.inbox.place.to_string() });
        let id = client.begin("send.ack", params).await;
        self.asked.insert(id, Asked::Ack);
    }

    /// Says again what was answered: the first receipt must come back. Gives how many came back otherwise.
    pub(super) async fn repeat_answered(&self, node: &Node) -> usize {
        let mut client = Client::resume(node, &self.token)
            .await
            .expect("a token outlives its node");
        let mut others = 0;
        for said in self.said.iter().filter(|said| said.receipt.is_some()).step_by(7) {
            let (method, key, id) = match said.target {
                Target::User(user) => ("send.send-message", "to", user),
                Target::Group(group) => ("send.send-group-message", "group", group),
            };
            let params = json!({ "client_id": said.client_id, "content": said.content, key: id.to_string() });
            let answer = client.call(method, params).await.expect("a repeat is answered");
            others += usize::from(Some(receipt(&answer)) != said.receipt);
        }
        others
    }
}

fn receipt(result: &Value) -> Receipt {
    Receipt {
        message: number(&result["message"]),
        conversation: number(&result["conversation"]),
        seq: number(&result["seq"]),
    }
}
