//! The accounting of messages: what senders said and were answered, against what a node has kept.
//!
//! Pure. It knows neither sockets nor nodes, and it relies on nothing but the promises: each message once, at the
//! place of its receipt, in every inbox that it is for, with no gap anywhere.

use std::collections::{BTreeMap, BTreeSet};

/// To whom something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    User(u64),
    Group(u64),
}

/// The answer to a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub message: u64,
    pub conversation: u64,
    pub seq: u64,
}

/// A send, answered or not.
#[derive(Debug, Clone)]
pub struct Said {
    pub sender: u64,
    pub client_id: String,
    pub target: Target,
    pub content: String,
    pub receipt: Option<Receipt>,
}

/// A message as a node gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub message: u64,
    pub seq: u64,
    pub sender: u64,
    pub client_id: String,
    pub content: String,
}

/// A place and the message there.
pub type Entry = (u64, u64);

/// All that a node has kept, or that devices have seen of it.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// By conversation, in the order given.
    pub conversations: BTreeMap<u64, Vec<Kept>>,
    /// By user, in the order given.
    pub inboxes: BTreeMap<u64, Vec<Entry>>,
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    pub members: Vec<u64>,
    /// Whether its messages go into inboxes.
    pub in_inboxes: bool,
}

/// Everything that was said.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    pub said: Vec<Said>,
    pub groups: BTreeMap<u64, Group>,
    pub users: Vec<u64>,
}

impl Accounts {
    /// What is not as was promised; nothing when all is well.
    pub fn check(&self, found: &Found) -> Vec<String> {
        let mut differences = Vec::new();
        for (conversation, kept) in &found.conversations {
            let places: Vec<u64> = kept.iter().map(|kept| kept.seq).collect();
            differences.extend(gap(&places).map(|gap| format!("conversation {conversation}: {gap}")));
        }
        self.check_sends(found, &mut differences);
        for user in &self.users {
            self.check_inbox(*user, found, &mut differences);
        }
        differences
    }

    /// Every send is there once (one without an answer at most once), where its receipt says, and nothing else is.
    fn check_sends(&self, found: &Found, differences: &mut Vec<String>) {
        let mut kept: BTreeMap<(u64, &str), Vec<(u64, &Kept)>> = BTreeMap::new();
        for (conversation, message) in all(found) {
            kept.entry((message.sender, &message.client_id))
                .or_default()
                .push((conversation, message));
        }
        for said in &self.said {
            let (sender, client_id) = (said.sender, said.client_id.as_str());
            let copies = kept.remove(&(sender, client_id)).unwrap_or_default();
            let mut differ = |what: String| differences.push(format!("send {client_id} of {sender}: {what}"));
            match (copies.as_slice(), said.receipt) {
                ([], None) => {}
                ([], Some(_)) => differ("answered, and lost".to_owned()),
                ([(conversation, message)], receipt) => {
                    let place = Receipt {
                        message: message.message,
                        conversation: *conversation,
                        seq: message.seq,
                    };
                    if receipt.is_some_and(|receipt| receipt != place) {
                        differ(format!("answered with {receipt:?}, kept at {place:?}"));
                    }
                    if message.content != said.content {
                        differ("kept with other words".to_owned());
                    }
                }
                (copies, _) => differ(format!("kept {} times", copies.len())),
            }
        }
        for (sender, client_id) in kept.keys() {
            differences.push(format!("message {client_id} of {sender}: nobody said it"));
        }
    }

    /// An inbox has no gap, each message for the user once and no other, and the order of conversations.
    fn check_inbox(&self, user: u64, found: &Found, differences: &mut Vec<String>) {
        let empty = Vec::new();
        let inbox = found.inboxes.get(&user).unwrap_or(&empty);
        let mut differ = |what: String| differences.push(format!("inbox of {user}: {what}"));
        let places: Vec<u64> = inbox.iter().map(|(place, _)| *place).collect();
        if let Some(gap) = gap(&places) {
            differ(gap);
        }
        let targets: BTreeMap<(u64, &str), Target> = self
            .said
            .iter()
            .map(|said| ((said.sender, said.client_id.as_str()), said.target))
            .collect();
        let expected: BTreeMap<u64, (u64, u64)> = all(found)
            .filter(|(_, kept)| {
                let target = targets.get(&(kept.sender, kept.client_id.as_str()));
                target.is_some_and(|target| kept.sender != user && self.reaches(*target, user))
            })
            .map(|(conversation, kept)| (kept.message, (conversation, kept.seq)))
            .collect();
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for (place, message) in inbox {
            let Some((conversation, seq)) = expected.get(message) else {
                differ(format!("a message at place {place} that is not for them, or gone"));
                continue;
            };
            if !seen.insert(*message) {
                differ(format!("message {message} again at place {place}"));
            }
            let before = last.insert(*conversation, *seq).unwrap_or(0);
            if before > *seq {
                differ(format!(
                    "place {seq} of conversation {conversation} after its place {before}"
                ));
            }
        }
        for message in expected.keys().filter(|message| !seen.contains(message)) {
            differ(format!("lacks message {message}"));
        }
    }

    fn reaches(&self, target: Target, user: u64) -> bool {
        match target {
            Target::User(other) => other == user,
            Target::Group(group) => self
                .groups
                .get(&group)
                .is_some_and(|group| group.in_inboxes && group.members.contains(&user)),
        }
    }
}

fn all(found: &Found) -> impl Iterator<Item = (u64, &Kept)> {
    found
        .conversations
        .iter()
        .flat_map(|(conversation, kept)| kept.iter().map(|kept| (*conversation, kept)))
}

/// The first place that is not one after the place before it.
pub fn gap(places: &[u64]) -> Option<String> {
    let wrong = places.iter().zip(1..).find(|(place, expected)| **place != *expected)?;
    Some(format!("place {} where {} was to come", wrong.0, wrong.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: u64 = 9;

    fn said(client_id: &str, target: Target, message: u64, conversation: u64, seq: u64) -> Said {
        let receipt = Some(Receipt {
            message,
            conversation,
            seq,
        });
        Said {
            sender: 1,
            client_id: client_id.to_owned(),
            target,
            content: client_id.to_owned(),
            receipt,
        }
    }

    /// One said "a" and "b" to two, and "c" to their group with three.
    fn story() -> (Accounts, Found) {
        let said = vec![
            said("a", Target::User(2), 100, 5, 1),
            said("b", Target::User(2), 101, 5, 2),
            said("c", Target::Group(GROUP), 102, GROUP, 1),
        ];
        let keep = |said: &Said| {
            let receipt = said.receipt.expect("answered");
            let (client_id, content) = (said.client_id.clone(), said.content.clone());
            Kept {
                message: receipt.message,
                seq: receipt.seq,
                sender: said.sender,
                client_id,
                content,
            }
        };
        let conversations = BTreeMap::from([(5, vec![keep(&said[0]), keep(&said[1])]), (GROUP, vec![keep(&said[2])])]);
        let inboxes = BTreeMap::from([(2, vec![(1, 100), (2, 101), (3, 102)]), (3, vec![(1, 102)])]);
        let group = Group {
            members: vec![1, 2, 3],
            in_inboxes: true,
        };
        let accounts = Accounts {
            said,
            groups: BTreeMap::from([(GROUP, group)]),
            users: vec![1, 2, 3],
        };
        (accounts, Found { conversations, inboxes })
    }

    fn differences(change: impl FnOnce(&mut Accounts, &mut Found)) -> String {
        let (mut accounts, mut found) = story();
        change(&mut accounts, &mut found);
        accounts.check(&found).join("\n")
    }

    #[test]
    fn what_is_kept_as_promised_differs_in_nothing() {
        assert_eq!(differences(|_, _| {}), "");
    }

    #[test]
    fn an_answered_send_that_is_gone_is_found_even_at_the_end_of_everything() {
        let lost = differences(|_, found| {
            found.conversations.get_mut(&5).expect("there").pop();
            found.inboxes.insert(2, vec![(1, 100), (2, 102)]);
        });
        assert_eq!(lost, "send b of 1: answered, and lost");
    }

    #[test]
    fn a_send_without_an_answer_is_there_once_or_not_at_all() {
        let gone = differences(|accounts, found| {
            accounts.said[2].receipt = None;
            found.conversations.remove(&GROUP);
            found.inboxes = BTreeMap::from([(2, vec![(1, 100), (2, 101)])]);
        });
        assert_eq!(gone, "");
        let twice = differences(|accounts, found| {
            accounts.said[1].receipt = None;
            let conversation = found.conversations.get_mut(&5).expect("there");
            let again = Kept {
                message: 103,
                seq: 3,
                ..conversation[1].clone()
            };
            conversation.push(again);
            found.inboxes.get_mut(&2).expect("there").push((4, 103));
        });
        assert_eq!(twice, "send b of 1: kept 2 times");
    }

    #[test]
    fn gaps_strays_repeats_and_swaps_are_found() {
        let seq = differences(|_, found| found.conversations.get_mut(&5).expect("there")[1].seq = 3);
        assert!(
            seq.contains("conversation 5: place 3 where 2 was to come") && seq.contains("kept at"),
            "{seq}"
        );
        let stray = differences(|accounts, _| drop(accounts.said.remove(0)));
        assert!(stray.contains("message a of 1: nobody said it"), "{stray}");
        let words = differences(|_, found| found.conversations.get_mut(&5).expect("there")[0].content.push('!'));
        assert_eq!(words, "send a of 1: kept with other words");
        let missing = differences(|_, found| drop(found.inboxes.remove(&3)));
        assert_eq!(missing, "inbox of 3: lacks message 102");
        let hole = differences(|_, found| {
            found.inboxes.get_mut(&2).expect("there").remove(1);
        });
        assert_eq!(
            hole,
            "inbox of 2: place 3 where 2 was to come\ninbox of 2: lacks message 101"
        );
        let again = differences(|_, found| found.inboxes.get_mut(&3).expect("there").push((2, 102)));
        assert_eq!(again, "inbox of 3: message 102 again at place 2");
        let swap = differences(|_, found| drop(found.inboxes.insert(2, vec![(1, 101), (2, 100), (3, 102)])));
        assert_eq!(swap, "inbox of 2: place 1 of conversation 5 after its place 2");
    }
}
