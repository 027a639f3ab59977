//! Very many users, each with one connection and little to say: what matters is that all come back at once.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::socket::{Broken, Socket};
use crate::harness::audit::number;
use crate::harness::{Node, http, within};

/// How many logins, or first connections, are under way at once.
const ABREAST: usize = 32;
/// How many sends of the crier wait for their answers.
const WINDOW: usize = 32;
const BACKOFF: Duration = Duration::from_millis(50);
/// How long all of them together may need for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of many.
struct Guest {
    user: u64,
    token: String,
    /// The last place of the inbox that this guest has.
    place: u64,
    /// Which cries were shown to this guest, in the order that they were shown in.
    shown: Vec<u64>,
    /// Frames that brought what was shown before.
    repeats: u64,
    socket: Option<Socket>,
}

/// What all guests together were shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) delivered: usize,
    pub(super) lost: usize,
    pub(super) out_of_order: usize,
    pub(super) shown_twice: usize,
    /// Repeats that guests dropped by their place.
    pub(super) repeats: u64,
}

/// Many users, and one who says something to each of them.
pub(super) struct Crowd {
    guests: Vec<Guest>,
    crier: String,
    calls: u64,
    /// Answers that said to try again.
    pub(super) turned_away: u64,
}

/// What a guest met on the way back.
struct Return {
    guest: Guest,
    turned_away: u64,
    took: Duration,
}

impl Crowd {
    /// Makes accounts, and logs everybody in: passwords are hashed now, and never again.
    pub(super) async fn gather(node: &Node, size: usize) -> Self {
        let enter = |index: usize| async move {
            let name = format!("guest{index}");
            let user = http::register(node, &name).await.parse().expect("a number");
            let token = http::login(node, &name, "phone").await;
            Guest {
                user,
                token,
                place: 0,
                shown: Vec::new(),
                repeats: 0,
                socket: None,
            }
        };
        let guests = stream::iter(0..size).map(enter).buffered(ABREAST).collect().await;
        http::register(node, "crier").await;
        Self {
            guests,
            crier: http::login(node, "crier", "horn").await,
            calls: 0,
            turned_away: 0,
        }
    }

    /// Everybody connects to a node at once, and pulls. Gives how long the last one took.
    pub(super) async fn storm(&mut self, url: &str) -> Duration {
        let begun = Instant::now();
        let mut coming = JoinSet::new();
        for guest in self.guests.drain(..) {
            let url = url.to_owned();
            coming.spawn(async move { guest.come(&url, begun).await });
        }
        let mut slowest = Duration::ZERO;
        let all = timeout(PATIENCE, async {
            while let Some(back) = coming.join_next().await {
                let back = back.expect("a guest does not panic");
                slowest = slowest.max(back.took);
                self.turned_away += back.turned_away;
                self.guests.push(back.guest);
            }
        });
        assert!(all.await.is_ok(), "only {} came within {PATIENCE:?}", self.guests.len());
        slowest
    }

    /// Says something to everybody, and again what is not taken for now.
    pub(super) async fn cry(&mut self, url: &str) {
        let mut socket = Socket::resume(url, &self.crier).await.expect("a way in");
        self.calls += 1;
        let mut waiting: Vec<u64> = self.guests.iter().map(|guest| guest.user).collect();
        let mut asked = HashMap::new();
        while !(waiting.is_empty() && asked.is_empty()) {
            while asked.len() < WINDOW
                && let Some(user) = waiting.pop()
            {
                let call = self.calls;
                let params = json!({ "to": user.to_string(), "client_id": format!("{call}-{user}"), "content": call.to_string() });
                let id = socket.call("send.send-message", &params).await.expect("sent");
                asked.insert(id, user);
            }
            let frame = within("an answer", socket.next()).await.expect("an answer");
            let Some(user) = frame["id"].as_u64().and_then(|id| asked.remove(&id)) else {
                continue;
            };
            if let Some(error) = frame.get("error") {
                assert_eq!(error["data"]["retryable"], true, "{error}");
                self.turned_away += 1;
                waiting.insert(0, user);
            }
        }
    }

    /// Waits until everybody has so many messages, pushed or pulled. Gives how many have not.
    pub(super) async fn hears(&mut self, messages: u64) -> usize {
        let listen = |mut guest: Guest| async move {
            let heard = timeout(PATIENCE, guest.listen(messages)).await;
            (guest, usize::from(!matches!(heard, Ok(Ok(())))))
        };
        let all: Vec<(Guest, usize)> = stream::iter(self.guests.drain(..))
            .map(listen)
            .buffer_unordered(usize::MAX)
            .collect()
            .await;
        let lacking = all.iter().map(|(_, lacks)| lacks).sum();
        self.guests = all.into_iter().map(|(guest, _)| guest).collect();
        lacking
    }

    /// What was shown, against what was cried.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for guest in &self.guests {
            let distinct: BTreeSet<u64> = guest.shown.iter().copied().collect();
            let cried = usize::try_from(self.calls).expect("a few");
            tally.delivered += distinct.len();
            tally.lost += cried - distinct.len();
            tally.shown_twice += guest.shown.len() - distinct.len();
            tally.out_of_order += guest.shown.windows(2).filter(|pair| pair[0] > pair[1]).count();
            tally.repeats += guest.repeats;
        }
        tally
    }
}

impl Guest {
    /// Connects, however often it takes, and pulls.
    async fn come(mut self, url: &str, begun: Instant) -> Return {
        let mut turned_away = 0;
        loop {
            let broken = match self.enter(url).await {
                Ok(()) => break,
                Err(broken) => broken,
            };
            assert!(!matches!(broken, Broken::Refused(_)), "{broken:?}");
            turned_away += u64::from(broken == Broken::TurnedAway);
            sleep(BACKOFF).await;
        }
        Return {
            guest: self,
            turned_away,
            took: begun.elapsed(),
        }
    }

    async fn enter(&mut self, url: &str) -> Result<(), Broken> {
        let mut socket = Socket::resume(url, &self.token).await?;
        let since = self.place.to_string();
        let call = socket.call("pull-offline.pull", &json!({ "since": since })).await?;
        loop {
            let frame = timeout(Duration::from_secs(8), socket.next()).await;
            let frame = frame.map_err(|_| Broken::Gone)??;
            if frame["id"] == call {
                let entries = frame["result"]["entries"].as_array().ok_or(Broken::TurnedAway)?;
                entries
                    .iter()
                    .for_each(|entry| self.take(&entry["cursor"], &entry["message"]));
                break;
            }
            self.hear(&frame);
        }
        self.socket = Some(socket);
        Ok(())
    }

    async fn listen(&mut self, messages: u64) -> Result<(), Broken> {
        while self.place < messages {
            let frame = self.socket.as_mut().ok_or(Broken::Gone)?.next().await?;
            self.hear(&frame);
        }
        Ok(())
    }

    fn hear(&mut self, frame: &Value) {
        if frame["method"] == "message" {
            self.take(&frame["params"]["cursor"], &frame["params"]["body"]);
        }
    }

    /// Shows what is at the next place; what was there before is dropped, and what is beyond a gap is to be pulled.
    fn take(&mut self, cursor: &Value, message: &Value) {
        let place = number(cursor);
        self.repeats += u64::from(place <= self.place);
        if place == self.place + 1 {
            self.place = place;
            let content = message["content"].as_str().expect("a content");
            self.shown.push(content.parse().expect("the number of a cry"));
        }
    }
}
