//! Many clients at once, in a random order of steps: sends and repeats of the same message side by side,
//! pulls, acknowledgements, recalls, sweeps, joins and leaves; calls that are dropped half way, writes that
//! are refused, answers that are lost, devices that forget where they were. Whatever happened, nothing that
//! was accepted is missing, nothing is there twice, and no seq is skipped.
//!
//! A failure prints its seed; `MPIM_SEED=<seed>` runs it again, and `MPIM_RUNS=<n>` makes more runs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context, Waker};

use guest::{Error, ErrorCode, Qos, Receipt};
use pull_offline::{EntryKind, Page, PullOffline};
use send::{Component, Delivery, Send};
use world::{Fault, Random, World, caller, run, seed};

const USERS: u64 = 5;
const DEVICES: [&str; 2] = ["phone", "tablet"];
/// Three members, who stay: always fanned out on write.
const SMALL: u64 = 501;
/// Three members, who stay, and two who come and go: with both it is at the threshold of five.
const CHANGING: u64 = 502;
const GUESTS: [u64; 2] = [4, 5];
const STEPS: usize = 600;

/// What a client wants to send, and repeats until it is accepted.
#[derive(Clone)]
struct Wish {
    from: u64,
    to: Result<u64, u64>,
    client_id: String,
    qos: Qos,
}

#[derive(Default)]
struct Device {
    /// Every entry that was ever given, by cursor.
    had: BTreeMap<u64, (EntryKind, u64)>,
    /// Where to pull from; none after a restart: the service knows.
    next: Option<u64>,
    pulling: bool,
    /// What was acknowledged, the answer having come.
    acknowledged: BTreeSet<u64>,
    /// What was acknowledged, whether or not the answer came.
    sent_acks: BTreeSet<u64>,
}

type At = (u64, usize);

enum Answer {
    Sent(usize, Result<Receipt, Error>),
    Pulled(At, Option<u64>, BTreeSet<u64>, Result<Page, Error>),
    Acknowledged(At, Vec<u64>, Result<u32, Error>),
    Other,
}

struct Call {
    future: Pin<Box<dyn Future<Output = Answer>>>,
    pull_of: Option<At>,
}

struct Simulation {
    world: World,
    random: Random,
    wishes: Vec<Wish>,
    receipts: BTreeMap<usize, Receipt>,
    devices: BTreeMap<At, Device>,
    calls: Vec<Call>,
    states: BTreeMap<i64, i64>,
}

async fn send_call(wish: Wish) -> Result<Receipt, Error> {
    let (from, id, qos) = (caller(wish.from, "phone"), wish.client_id.clone(), Some(wish.qos));
    match wish.to {
        Ok(user) => Component::send_message(from, user, id, wish.client_id, None, None, qos).await,
        Err(group) => Component::send_group_message(from, group, id, wish.client_id, None, None, qos).await,
    }
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let world = World::seeded(seed, USERS);
        world.group(SMALL, &[1, 2, 3]);
        world.group(CHANGING, &[1, 2, 3]);
        world.set("fan-out-threshold", 5);
        world.set("retry-after-ms", 0);
        let devices = (1..=USERS).flat_map(|user| (0..DEVICES.len()).map(move |at| ((user, at), Device::default())));
        Self {
            world,
            random: Random::new(seed),
            wishes: Vec::new(),
            receipts: BTreeMap::new(),
            devices: devices.collect(),
            calls: Vec::new(),
            states: BTreeMap::new(),
        }
    }

    fn start(&mut self, future: impl Future<Output = Answer> + 'static, pull_of: Option<At>) {
        self.calls.push(Call {
            future: Box::pin(future),
            pull_of,
        });
    }

    fn send(&mut self, wish: usize) {
        let call = send_call(self.wishes[wish].clone());
        self.start(async move { Answer::Sent(wish, call.await) }, None);
    }

    fn wish(&mut self) -> usize {
        let from = self.random.index(USERS as usize) as u64 + 1;
        let to = match self.random.index(4) {
            0 if from <= 3 => Err(SMALL),
            1 if from <= 3 => Err(CHANGING),
            _ => Ok((from + self.random.index(USERS as usize - 1) as u64) % USERS + 1),
        };
        let qos = self
            .random
            .pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]);
        self.wishes.push(Wish {
            from,
            to,
            client_id: format!("c{}", self.wishes.len()),
            qos,
        });
        self.wishes.len() - 1
    }

    fn device(&mut self) -> At {
        let keys: Vec<At> = self.devices.keys().copied().collect();
        self.random.pick(&keys)
    }

    fn pull(&mut self, at: At) {
        let limit = Some(self.random.index(5) as u32 + 1);
        let device = self.devices.get_mut(&at).unwrap();
        if std::mem::replace(&mut device.pulling, true) {
            return;
        }
        let (since, acknowledged) = (device.next, device.acknowledged.clone());
        let call = pull_offline::Component::pull(caller(at.0, DEVICES[at.1]), since, limit);
        self.start(
            async move { Answer::Pulled(at, since, acknowledged, call.await) },
            Some(at),
        );
    }

    fn acknowledge(&mut self, at: At) {
        let had: Vec<u64> = self.devices[&at].had.values().map(|(_, message)| *message).collect();
        if had.is_empty() {
            return;
        }
        let ids: Vec<u64> = (0..self.random.index(6) + 1).map(|_| self.random.pick(&had)).collect();
        let cursor = if self.random.one_in(2) {
            self.devices[&at].next
        } else {
            None
        };
        self.devices.get_mut(&at).unwrap().sent_acks.extend(&ids);
        let call = Component::ack(caller(at.0, DEVICES[at.1]), ids.clone(), cursor);
        self.start(async move { Answer::Acknowledged(at, ids, call.await) }, None);
    }

    fn other(&mut self) {
        let accepted: Vec<usize> = self.receipts.keys().copied().collect();
        if accepted.is_empty() {
            return;
        }
        let wish = self.random.pick(&accepted);
        let (receipt, Wish { from, to, .. }) = (self.receipts[&wish], self.wishes[wish].clone());
        match self.random.index(4) {
            0 => self.start(
                async move {
                    Component::recall(caller(from, "phone"), receipt.message).await.ok();
                    Answer::Other
                },
                None,
            ),
            1 => {
                let reader = to.unwrap_or(from % 3 + 1);
                let call = Component::mark_read(caller(reader, "phone"), receipt.conversation, receipt.seq);
                self.start(
                    async move {
                        call.await.ok();
                        Answer::Other
                    },
                    None,
                );
            }
            2 => self.start(
                async move {
                    Component::mark_sent(vec![receipt.message]).await.ok();
                    Answer::Other
                },
                None,
            ),
            _ => self.start(
                async {
                    Component::retry_pending().await.ok();
                    Answer::Other
                },
                None,
            ),
        }
    }

    fn disturb(&mut self) {
        match self.random.index(5) {
            0 => self.world.fault(Some(Fault::Refused)),
            1 => self.world.fault(Some(Fault::AnswerLost)),
            2 => {
                let online: Vec<u64> = (1..=USERS).filter(|_| self.random.one_in(2)).collect();
                self.world.online(&online);
            }
            3 => {
                let fail = self.random.one_in(2);
                self.world.routes_fail(fail);
            }
            _ => {
                let at = self.device();
                self.devices.get_mut(&at).unwrap().next = None;
            }
        }
    }

    fn come_or_go(&mut self) {
        // Who goes can no longer be asked.
        self.check_members();
        let guest = self.random.pick(&GUESTS);
        let inside = format!("SELECT COUNT(*) FROM members WHERE conversation_id = {CHANGING} AND user_id = {guest}");
        if self.world.one(&inside) == 1 {
            self.world.leave(CHANGING, guest);
        } else {
            self.world.join(CHANGING, guest);
        }
    }

    fn step(&mut self) {
        match self.random.index(12) {
            0 | 1 => {
                let wish = self.wish();
                self.send(wish);
            }
            2 if !self.wishes.is_empty() => {
                let wish = self.random.index(self.wishes.len());
                self.send(wish);
            }
            3 => {
                let at = self.device();
                self.pull(at);
            }
            4 => {
                let at = self.device();
                self.acknowledge(at);
            }
            5 => self.other(),
            6 if self.random.one_in(3) => self.disturb(),
            7 => self.come_or_go(),
            _ => {}
        }
        for _ in 0..3 {
            self.advance();
        }
    }

    /// Lets one call go one step, or drops it, as the death of its node would.
    fn advance(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let at = self.random.index(self.calls.len());
        if self.random.one_in(40) {
            let call = self.calls.swap_remove(at);
            if let Some(device) = call.pull_of {
                self.devices.get_mut(&device).unwrap().pulling = false;
            }
            return;
        }
        let polled = self.calls[at]
            .future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if let std::task::Poll::Ready(answer) = polled {
            drop(self.calls.swap_remove(at));
            self.answered(answer);
        }
        self.states_moved_forward();
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Sent(wish, Ok(receipt)) => {
                let first = self.receipts.entry(wish).or_insert(receipt);
                let told = |receipt: &Receipt| (receipt.message, receipt.conversation, receipt.seq, receipt.created_at);
                assert_eq!(told(first), told(&receipt), "a repeat gives the first receipt");
            }
            Answer::Sent(_, Err(error)) => {
                assert!(error.retryable, "a send failed for good: {error:?}");
            }
            Answer::Pulled(at, since, acknowledged, page) => self.pulled(at, since, &acknowledged, page),
            Answer::Acknowledged(at, ids, result) => match result {
                Ok(_) => self.devices.get_mut(&at).unwrap().acknowledged.extend(ids),
                Err(error) => assert!(error.retryable, "an acknowledgement failed for good: {error:?}"),
            },
            Answer::Other => {}
        }
    }

    fn pulled(&mut self, at: At, since: Option<u64>, acknowledged: &BTreeSet<u64>, page: Result<Page, Error>) {
        let device = self.devices.get_mut(&at).unwrap();
        device.pulling = false;
        let page = match page {
            Ok(page) => page,
            Err(error) => return assert!(error.retryable, "a pull failed for good: {error:?}"),
        };
        let mut last = since.unwrap_or(0);
        for entry in &page.entries {
            assert!(entry.cursor > last && entry.cursor <= page.next, "cursors go up");
            last = entry.cursor;
            let once = entry.message.qos == Qos::ExactlyOnce && entry.kind == EntryKind::Message;
            assert!(
                !(once && acknowledged.contains(&entry.message.id)),
                "exactly once was given again: {:?} to {at:?}",
                (entry.message.group, entry.message.id)
            );
            device.had.insert(entry.cursor, (entry.kind, entry.message.id));
        }
        // A device that restarted meanwhile has forgotten this page's end, and asks the service.
        if since.is_none() || device.next == since {
            device.next = Some(page.next);
        }
    }

    fn states_moved_forward(&mut self) {
        for row in self.world.rows("SELECT id, state FROM messages") {
            let former = self.states.insert(row[0], row[1]).unwrap_or(0);
            assert!(
                former <= row[1] && (former != 5 || row[1] == 5),
                "state {former} became {}",
                row[1]
            );
        }
    }

    /// Ends the trouble: every client repeats what was not accepted, and every device pulls to the end.
    fn settle(&mut self) {
        self.world.fault(None);
        self.world.routes_fail(false);
        while !self.calls.is_empty() {
            self.advance();
        }
        for wish in 0..self.wishes.len() {
            let receipt = run(send_call(self.wishes[wish].clone()));
            self.answered(Answer::Sent(wish, Ok(receipt.unwrap())));
        }
        let keys: Vec<At> = self.devices.keys().copied().collect();
        for at in keys {
            loop {
                let (since, acknowledged) = (self.devices[&at].next, self.devices[&at].acknowledged.clone());
                let page = run(pull_offline::Component::pull(
                    caller(at.0, DEVICES[at.1]),
                    since,
                    Some(7),
                ))
                .unwrap();
                let more = page.more;
                self.pulled(at, since, &acknowledged, Ok(page));
                if !more {
                    break;
                }
            }
        }
    }

    fn check(&self) {
        let one = |sql: &str| self.world.one(sql);
        assert_eq!(
            one("SELECT COUNT(*) FROM messages"),
            self.wishes.len() as i64,
            "each message is there once"
        );
        for row in self.world.rows("SELECT id, last_seq FROM conversations") {
            let seqs = self.world.rows(&format!(
                "SELECT seq FROM messages WHERE conversation_id = {} ORDER BY seq",
                row[0]
            ));
            assert_eq!(
                seqs.concat(),
                (1..=row[1]).collect::<Vec<_>>(),
                "a conversation has no gaps"
            );
        }
        for row in self.world.rows("SELECT user_id, last_seq FROM inbox_heads") {
            let seqs = self.world.rows(&format!(
                "SELECT seq FROM inbox WHERE user_id = {} ORDER BY seq",
                row[0]
            ));
            assert_eq!(seqs.concat(), (1..=row[1]).collect::<Vec<_>>(), "an inbox has no gaps");
        }
        let wrong = "SELECT COUNT(*) FROM messages m WHERE m.recipient_id IS NOT NULL AND (SELECT COUNT(*) FROM inbox i \
             WHERE i.user_id = m.recipient_id AND i.message_id = m.id AND i.kind = 0) <> (m.qos > 0)";
        assert_eq!(one(wrong), 0, "a message of two is in one inbox, once");
        self.check_members();
        let undated = "SELECT COUNT(*) FROM messages WHERE (state IN (2, 3, 4) AND sent_at IS NULL) \
             OR (state IN (3, 4) AND delivered_at IS NULL) OR (state = 4 AND read_at IS NULL) \
             OR (state IN (3, 4) AND retry_at IS NOT NULL)";
        assert_eq!(one(undated), 0, "states have their times");
        self.check_devices();
    }

    /// A group's message is in the inbox of every member who had joined before it, or in none.
    fn check_members(&self) {
        let missed = "SELECT COUNT(*) FROM messages m JOIN members x ON x.conversation_id = m.conversation_id \
             AND x.user_id <> m.sender_id AND x.joined_seq < m.seq WHERE m.recipient_id IS NULL \
             AND EXISTS (SELECT 1 FROM inbox i WHERE i.message_id = m.id AND i.kind = 0) \
             AND (SELECT COUNT(*) FROM inbox i WHERE i.message_id = m.id AND i.user_id = x.user_id AND i.kind = 0) <> 1";
        assert_eq!(self.world.one(missed), 0, "a member missed a message of a group");
    }

    fn check_devices(&self) {
        for ((user, at), device) in &self.devices {
            let inbox = format!(
                "SELECT i.seq, i.kind, i.message_id, m.qos FROM inbox i JOIN messages m ON m.id = i.message_id WHERE i.user_id = {user}"
            );
            for row in self.world.rows(&inbox) {
                let passed = row[1] == 0 && row[3] == 2 && device.sent_acks.contains(&(row[2] as u64));
                let had = device.had.get(&(row[0] as u64)).map(|(_, message)| *message as i64);
                assert!(
                    had == Some(row[2]) || passed,
                    "{user} on {} missed seq {}",
                    DEVICES[*at],
                    row[0]
                );
            }
        }
    }
}

#[test]
fn nothing_is_lost_doubled_or_skipped_in_any_order_of_steps() {
    let first = seed();
    let asked = std::env::var("MPIM_RUNS").ok().and_then(|runs| runs.parse().ok());
    let given = std::env::var_os("MPIM_SEED").is_some();
    let runs = asked.unwrap_or(if given { 1 } else { 40 });
    let mut kept = 0;
    for seed in first..first + runs {
        println!("MPIM_SEED={seed}");
        let mut simulation = Simulation::new(seed);
        for _ in 0..STEPS {
            simulation.step();
        }
        simulation.settle();
        simulation.check();
        kept += simulation.wishes.len();
    }
    println!("{kept} messages in {runs} runs");
    assert!(kept > 50);
}

#[test]
fn many_first_messages_between_two_users_at_once_all_arrive() {
    let world = World::with_users(2);
    let wish = |from: u64, id: usize| Wish {
        from,
        to: Ok(3 - from),
        client_id: format!("c{id}"),
        qos: Qos::AtLeastOnce,
    };
    let mut calls: Vec<_> = (0..16)
        .map(|at| Box::pin(send_call(wish(at as u64 % 2 + 1, at / 4))))
        .collect();
    let mut seqs = BTreeSet::new();
    let mut again = 0;
    while !calls.is_empty() {
        calls.retain_mut(
            |call| match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                std::task::Poll::Pending => true,
                std::task::Poll::Ready(Ok(receipt)) => {
                    seqs.insert(receipt.seq);
                    false
                }
                std::task::Poll::Ready(Err(error)) => {
                    assert_eq!(error.code, ErrorCode::Unavailable);
                    again += 1;
                    false
                }
            },
        );
    }
    assert_eq!((seqs.len(), again), (8, 0));
    assert_eq!(world.one("SELECT COUNT(*) FROM messages"), 8);
}
