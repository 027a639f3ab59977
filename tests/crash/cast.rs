//! Many persons on one node: pairs, a group with inboxes and one without.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::person::{Person, Until};
use crate::harness::accounts::{Accounts, Found, Group, Target, gap};
use crate::harness::audit::{audit, number};
use crate::harness::{Client, Manifest, Node, within};

/// How many persons there are; each has a partner.
const PERSONS: usize = 16;
/// From so many members on a group has no inboxes.
const THRESHOLD: i64 = 4;
const SMALL: usize = 3;
const LARGE: usize = 6;

/// The project's manifest with groups that need few members to be large.
pub(super) fn manifest() -> Manifest {
    Manifest::default()
        .set("component.send.tool.mpim.config.fan-out-threshold", THRESHOLD)
        .set("component.groups.tool.mpim.config.fan-out-threshold", THRESHOLD)
        .set("component.send.tool.mpim.config.retry-after-ms", 300)
}

/// All persons.
pub(super) struct Cast {
    persons: Vec<Person>,
    groups: Vec<(u64, Group)>,
    answers: Arc<watch::Sender<u64>>,
}

/// Persons who talk.
pub(super) type Talking = JoinSet<(Person, Option<CloseFrame>)>;

impl Cast {
    /// Registers everybody and makes the groups.
    pub(super) async fn gather(node: &Node) -> Self {
        let answers = Arc::new(watch::channel(0).0);
        let mut clients = Vec::new();
        for index in 0..PERSONS {
            clients.push(Client::register(node, &format!("p{index}")).await);
        }
        let person = |(index, client)| Person::new(client, format!("p{index}"), answers.clone());
        let mut persons: Vec<Person> = clients.iter().enumerate().map(person).collect();
        let users: Vec<u64> = persons.iter().map(|person| person.user).collect();
        for (index, person) in persons.iter_mut().enumerate() {
            person.talks_to(Target::User(users[index ^ 1]), true);
        }
        let mut groups = Vec::new();
        for (count, in_inboxes) in [(SMALL, true), (LARGE, false)] {
            let members = users[..count].to_vec();
            let id = make_group(&mut clients[0], &members[1..], in_inboxes).await;
            persons[..count]
                .iter_mut()
                .for_each(|person| person.talks_to(Target::Group(id), in_inboxes));
            groups.push((id, Group { members, in_inboxes }));
        }
        Self {
            persons,
            groups,
            answers,
        }
    }

    /// How many sends were answered until now.
    pub(super) fn answers(&self) -> watch::Receiver<u64> {
        self.answers.subscribe()
    }

    /// Lets everybody talk.
    pub(super) fn talk(&mut self, node: &Arc<Node>, until: Until) -> Talking {
        let mut talking = JoinSet::new();
        for mut person in self.persons.drain(..) {
            let node = node.clone();
            talking.spawn(async move {
                let close = person.talk(&node, until).await;
                (person, close)
            });
        }
        talking
    }

    /// Takes everybody back. Gives how each connection ended.
    pub(super) async fn back(&mut self, mut talking: Talking) -> Vec<Option<CloseFrame>> {
        let mut closes = Vec::new();
        while let Some(joined) = within("the end of the talk", talking.join_next()).await {
            let (person, close) = joined.expect("a person does not panic");
            self.persons.push(person);
            closes.push(close);
        }
        self.persons.sort_by_key(|person| person.user);
        closes
    }

    /// Everybody says something more and has it answered, and then has all of what was said by others.
    pub(super) async fn finish(&mut self, node: &Arc<Node>, more: usize) {
        let talking = self.talk(node, Until::Said(more));
        self.back(talking).await;
        for person in &mut self.persons {
            person.catch_up(node).await;
        }
    }

    /// What differs between what was said and what is there: in the node, and on every device.
    pub(super) async fn check(&self, node: &Node) -> Vec<String> {
        let mut accounts = Accounts {
            groups: self.groups.iter().cloned().collect(),
            users: self.persons.iter().map(|person| person.user).collect(),
            ..Accounts::default()
        };
        let mut found = Found::default();
        for person in &self.persons {
            accounts.said.extend(person.said.iter().cloned());
            audit(node, &person.name, person.user, &mut found).await;
        }
        let mut differences = accounts.check(&found);
        for person in &self.persons {
            differences.extend(compare(person, &found));
            if person.repeat_answered(node).await != 0 {
                differences.push(format!("{}: a repeat has another receipt", person.name));
            }
        }
        differences
    }

    /// How many sends have no answer.
    pub(super) fn unanswered(&self) -> usize {
        self.persons
            .iter()
            .flat_map(|person| &person.said)
            .filter(|said| said.receipt.is_none())
            .count()
    }
}

async fn make_group(owner: &mut Client, others: &[u64], in_inboxes: bool) -> u64 {
    let group = owner
        .call("groups.create", json!({ "name": "friends" }))
        .await
        .expect("made");
    let users: Vec<String> = others.iter().map(u64::to_string).collect();
    owner
        .call("groups.invite", json!({ "group": group["id"], "users": users }))
        .await
        .expect("invited");
    let group = owner
        .call("groups.info", json!({ "group": group["id"] }))
        .await
        .expect("there");
    assert_eq!(group["fan_out"], if in_inboxes { "write" } else { "read" });
    number(&group["id"])
}

/// A device has shown each entry of its inbox, and each message of a group without inboxes, once and in order.
fn compare(person: &Person, found: &Found) -> Vec<String> {
    let mut differences = Vec::new();
    if found.inboxes.get(&person.user) != Some(&person.inbox.entries) {
        let places: Vec<u64> = person.inbox.entries.iter().map(|(place, _)| *place).collect();
        differences.push(format!(
            "{}: the device and the inbox differ: {:?}",
            person.name,
            gap(&places)
        ));
    }
    for (group, seen) in &person.groups {
        let kept: Vec<_> = found.conversations[group]
            .iter()
            .map(|kept| (kept.seq, kept.message))
            .collect();
        if kept != seen.entries {
            differences.push(format!("{}: the device and the group {group} differ", person.name));
        }
    }
    differences
}
