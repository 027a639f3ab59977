//! Two users: one sends, the other hears and acknowledges. Each is a task with a connection of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::error::Error;
use client::frames::{Frame, Notice, read};
use client::params::{Ack, SendMessage};
use client::records::{Int, Message, Receipt, StateChange};
use client::socket::Client;
use futures_util::FutureExt;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::latencies::Latencies;

/// Digits of the time and the number at the head of a content.
const HEAD: usize = 2 * DIGITS;
const DIGITS: usize = 16;
/// Contents shorter than this could not say when they were sent.
pub(crate) const LEAST_BYTES: usize = HEAD;

/// What all pairs of a run share.
#[derive(Debug)]
pub(crate) struct Run {
    /// Part of the client ids, so that runs on one server do not meet.
    pub(crate) name: String,
    pub(crate) begins: Instant,
    pub(crate) messages: u32,
    pub(crate) in_flight: usize,
    pub(crate) bytes: usize,
    /// How long after its former one each pair offers its next message; none: whenever there is room in flight.
    pub(crate) every: Option<Duration>,
    /// Moves with everything that happens.
    pub(crate) moved: AtomicU64,
    /// Whether nobody waits any longer for what did not come.
    pub(crate) over: watch::Sender<bool>,
}

impl Run {
    fn moves(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// When a message is due. Its latency counts from here, whenever it is sent: who sends late because the server
    /// was slow does not hide it.
    fn due(&self, number: u32, offset: Duration) -> Option<Instant> {
        self.every.map(|every| self.begins + offset + every * number)
    }

    fn since_begin(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begins).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What a sender counted.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) accepted: u64,
    /// Refused for now, and sent again.
    pub(crate) turned_away: u64,
    /// From the call to its answer.
    pub(crate) answers: Latencies,
    /// After the begin.
    pub(crate) last_answer: Duration,
    pub(crate) last_receipt: Duration,
}

/// What a receiver counted.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) delivered: u64,
    pub(crate) repeats: u64,
    /// From sending to the frame.
    pub(crate) latencies: Latencies,
    /// After the begin.
    pub(crate) last: Duration,
}

/// When a sender sends, where the load is given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turn {
    /// Of its first message, after the begin.
    pub(crate) offset: Duration,
    /// Rings when a message is due.
    pub(crate) bell: Arc<Notify>,
}

/// Rings one bell after the other, evenly, until each has rung so often or the run is over. A thread of its own: the
/// timers of the runtime are late by up to a millisecond, which would pass for the server's.
pub(crate) fn ring(run: &Run, every: Duration, turns: &[Turn]) {
    for number in 0..run.messages {
        for turn in turns {
            let due = run.begins + turn.offset + every * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if *run.over.borrow() {
                return;
            }
            turn.bell.notify_one();
        }
    }
}

/// Sends all messages and waits for the receipt of each.
pub(crate) async fn send(run: Arc<Run>, mut client: Client, to: Int, turn: Turn) -> Result<Sent, Error> {
    let mut sent = Sent::default();
    let mut next = 0;
    let mut again: Vec<u32> = Vec::new();
    let mut asked: HashMap<u64, (u32, Instant)> = HashMap::new();
    // Sent, and without a receipt.
    let mut open = 0;
    let mut ended = Ended::default();
    let mut over = run.over.subscribe();
    while ended.count < run.messages as usize {
        let mut wrote = false;
        loop {
            let number = match again.pop() {
                Some(number) => number,
                None if next < run.messages && open < run.in_flight => {
                    if run.due(next, turn.offset).is_some_and(|due| due > Instant::now()) {
                        break;
                    }
                    next += 1;
                    open += 1;
                    next - 1
                }
                None => break,
            };
            let now = Instant::now();
            let begun = run.due(number, turn.offset).unwrap_or(now);
            let content = content(&run, number, begun);
            let client_id = format!("{}-{number}", run.name);
            let message = SendMessage {
                to,
                client_id: &client_id,
                content: &content,
            };
            let id = client.send("send.send-message", &message).await?;
            asked.insert(id, (number, now));
            wrote = true;
        }
        if wrote {
            client.flush().await?;
        }
        let waits = run.every.is_some() && next < run.messages && open < run.in_flight;
        let text = tokio::select! {
            text = client.next() => text?,
            () = turn.bell.notified(), if waits => continue,
            _ = over.wait_for(|over| *over) => break,
        };
        run.moves();
        match Frame::read(&text)? {
            Frame::Answer { id, result } => {
                let Some((number, at)) = asked.remove(&id) else {
                    continue;
                };
                match result {
                    Ok(result) => {
                        let receipt: Receipt = read(result.map_or("null", RawValue::get))?;
                        open -= usize::from(ended.answered(receipt.message));
                        sent.accepted += 1;
                        sent.answers.record(at.elapsed());
                        sent.last_answer = run.begins.elapsed();
                    }
                    Err(refusal) if refusal.retryable => {
                        sent.turned_away += 1;
                        again.push(number);
                    }
                    Err(refusal) => return Err(Error::Refused(refusal)),
                }
            }
            Frame::Notification { name, params } if name == "receipt" => {
                let change: Notice<StateChange<'_>> = params.read()?;
                if change.body.state == "delivered" {
                    let new = change.body.messages.iter().filter(|id| ended.received(**id)).count();
                    open -= new;
                    if new > 0 {
                        sent.last_receipt = run.begins.elapsed();
                    }
                }
            }
            Frame::Notification { .. } => {}
        }
    }
    client.close().await;
    Ok(sent)
}

/// The messages of a sender that have both their answer and their receipt. A receipt may come before the answer; when a
/// node takes over what another had in its queue it may come twice, and be one of a former run.
#[derive(Debug, Default)]
struct Ended {
    answered: HashSet<Int>,
    received: HashSet<Int>,
    count: usize,
}

impl Ended {
    /// An answer came; whether it ends the message.
    fn answered(&mut self, id: Int) -> bool {
        let ends = self.answered.insert(id) && self.received.contains(&id);
        self.count += usize::from(ends);
        ends
    }

    /// A receipt came; whether it ends a message.
    fn received(&mut self, id: Int) -> bool {
        let ends = self.received.insert(id) && self.answered.contains(&id);
        self.count += usize::from(ends);
        ends
    }
}

/// Hears all messages and acknowledges them: what is there together is acknowledged together.
pub(crate) async fn hear(run: Arc<Run>, mut client: Client) -> Result<Heard, Error> {
    let mut heard = Heard::default();
    let mut seen = vec![false; run.messages as usize];
    let mut acknowledging = 0;
    let mut over = run.over.subscribe();
    while heard.delivered < u64::from(run.messages) || acknowledging > 0 {
        let mut ids = Vec::new();
        let mut cursor = None;
        let mut frame = tokio::select! {
            text = client.next() => Some(text?),
            _ = over.wait_for(|over| *over) => break,
        };
        while let Some(text) = frame {
            run.moves();
            match Frame::read(&text)? {
                Frame::Answer { result, .. } => {
                    result.map_err(Error::Refused)?;
                    acknowledging -= 1;
                }
                Frame::Notification { name, params } if name == "message" => {
                    let notice: Notice<Message<'_>> = params.read()?;
                    if let Some((at, number)) = head(&notice.body.content) {
                        let now = run.begins.elapsed();
                        match seen.get_mut(number).map(|seen| std::mem::replace(seen, true)) {
                            Some(false) => {
                                heard.delivered += 1;
                                heard.latencies.record(now.saturating_sub(Duration::from_nanos(at)));
                                heard.last = now;
                            }
                            _ => heard.repeats += 1,
                        }
                        ids.push(notice.body.id);
                        cursor = notice.cursor.max(cursor);
                    }
                }
                Frame::Notification { .. } => {}
            }
            frame = client.next().now_or_never().transpose()?;
        }
        if !ids.is_empty() {
            let ack = Ack { messages: &ids, cursor };
            client.send("send.ack", &ack).await?;
            client.flush().await?;
            acknowledging += 1;
        }
    }
    client.close().await;
    Ok(heard)
}

fn content(run: &Run, number: u32, begun: Instant) -> String {
    let begun = run.since_begin(begun);
    let mut content = format!("{begun:0DIGITS$}{number:0DIGITS$}");
    content.extend(std::iter::repeat_n('x', run.bytes.saturating_sub(HEAD)));
    content
}

/// When a content was sent, in nanoseconds after the begin, and its number.
fn head(content: &str) -> Option<(u64, usize)> {
    let begun = content.get(..DIGITS)?.parse().ok()?;
    let number = content.get(DIGITS..HEAD)?.parse().ok()?;
    Some((begun, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_its_answer_and_its_receipt_in_any_order_and_once() {
        let mut ended = Ended::default();
        assert!(!ended.received(Int(7)), "of a former run");
        assert!(!ended.answered(Int(1)));
        assert!(ended.received(Int(1)));
        assert!(!ended.received(Int(1)));
        assert!(!ended.received(Int(2)));
        assert!(ended.answered(Int(2)));
        assert_eq!(ended.count, 2);
    }
}
