//! Acknowledgements of many devices in one write.
//!
//! It knows the usual case alone, as [`ack`] does at first: messages that are not exactly-once, devices whose cursor is
//! known. Where anything else is met nothing is kept, and each acknowledgement is a write of its own, those of different
//! users side by side.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use guest::sql::{self, Batch, Done, Error as SqlError, Row, Value};
use guest::{Caller, Error, Qos, join_all, now_ms, params};
use message::Code;

use crate::ack::{self, Receipts};
use crate::bindings::exports::mpim::im::delivery::AckCall;
use crate::bounds::CHUNK;
use crate::inbox::values;
use crate::receipt;
use crate::unsequenced::rows;

type Answer = Result<u32, Error>;

/// What one device says that it has.
struct Ack {
    /// Where in the call it is.
    index: usize,
    caller: Caller,
    messages: Vec<u64>,
    up_to: Option<u64>,
}

/// Takes acknowledgements; each has its own answer.
pub(crate) async fn ack(calls: Vec<AckCall>) -> Result<Vec<Answer>, Error> {
    guest::check_batch(calls.len())?;
    let mut answers: Vec<Answer> = calls.iter().map(|_| Ok(0)).collect();
    let mut acks = Vec::with_capacity(calls.len());
    for (index, (answer, call)) in answers.iter_mut().zip(calls).enumerate() {
        let AckCall {
            caller,
            messages,
            cursor,
        } = call;
        match receipt::distinct(messages) {
            Err(error) => *answer = Err(error),
            Ok(messages) => acks.push(Ack {
                index,
                caller,
                messages,
                up_to: cursor.filter(|up_to| *up_to > 0),
            }),
        }
    }
    // Two devices of a user have the same messages: all writes lock those of one user after those of another.
    acks.sort_by_key(|ack| ack.caller.user);
    for acks in groups(acks) {
        let given = match acks.as_slice() {
            [alone] => vec![apart(alone).await],
            acks => in_one_write(acks).await,
        };
        for (ack, given) in acks.iter().zip(given) {
            if let Some(answer) = answers.get_mut(ack.index) {
                *answer = given;
            }
        }
    }
    Ok(answers)
}

/// In each, no more messages than one statement names, unless it is one acknowledgement alone.
fn groups(acks: Vec<Ack>) -> Vec<Vec<Ack>> {
    let mut groups: Vec<Vec<Ack>> = Vec::new();
    let mut named = 0;
    for ack in acks {
        named += ack.messages.len();
        match groups.last_mut() {
            Some(group) if named <= CHUNK => group.push(ack),
            _ => {
                named = ack.messages.len();
                groups.push(vec![ack]);
            }
        }
    }
    groups
}

async fn apart(ack: &Ack) -> Answer {
    ack::ack(&ack.caller, ack.messages.clone(), ack.up_to).await
}

async fn one_after_another(acks: &[Ack]) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(acks.len());
    for ack in acks {
        answers.push(apart(ack).await);
    }
    answers
}

async fn in_one_write(acks: &[Ack]) -> Vec<Answer> {
    let now = now_ms();
    let plan = Plan::of(acks);
    match plan.batch(acks, now).run().await {
        Ok(done) => match plan.settle(acks, &done, now).await {
            Ok(counts) => counts.into_iter().map(Ok).collect(),
            Err(error) => acks.iter().map(|_| Err(error.clone())).collect(),
        },
        Err(SqlError::Unmet(_)) => {
            let of_users = acks.chunk_by(|one, next| one.caller.user == next.caller.user);
            join_all(of_users.map(one_after_another))
                .await
                .into_iter()
                .flatten()
                .collect()
        }
        Err(error) => {
            let error = Error::from(error);
            acks.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

/// What is written.
struct Plan<'a> {
    /// All that are named.
    messages: Vec<u64>,
    /// How far the inbox of each user must reach.
    reached: BTreeMap<u64, u64>,
    /// To where each device moves.
    cursors: BTreeMap<(u64, &'a str), u64>,
}

impl<'a> Plan<'a> {
    fn of(acks: &'a [Ack]) -> Self {
        let messages: BTreeSet<u64> = acks.iter().flat_map(|ack| ack.messages.iter().copied()).collect();
        let (mut reached, mut cursors) = (BTreeMap::<_, u64>::new(), BTreeMap::<_, u64>::new());
        for (caller, up_to) in acks.iter().filter_map(|ack| Some((&ack.caller, ack.up_to?))) {
            let reached = reached.entry(caller.user).or_default();
            *reached = up_to.max(*reached);
            let cursor = cursors.entry((caller.user, caller.device.as_str())).or_default();
            *cursor = up_to.max(*cursor);
        }
        Self {
            messages: messages.into_iter().collect(),
            reached,
            cursors,
        }
    }

    /// In the order of [`ack`]: what reads first, then the cursors, and an update for each acknowledgement.
    fn batch(&self, acks: &[Ack], now: u64) -> Batch {
        let mut batch = Batch::new();
        if !self.messages.is_empty() {
            let mut usual = values(&self.messages);
            usual.extend(params![Qos::ExactlyOnce.code()]);
            batch = batch.at_least(
                self.messages.len(),
                format!("{} AND m.qos <> ? ORDER BY m.id", ack::named(&self.messages)),
                usual,
            );
        }
        if !self.cursors.is_empty() {
            batch = self.move_cursors(self.guard(batch), now);
        }
        acks.iter()
            .filter(|ack| !ack.messages.is_empty())
            .fold(batch, |batch, ack| ack::deliver(batch, &ack.caller, &ack.messages, now))
    }

    /// Adds the guard that every inbox reaches as far as a cursor shall.
    fn guard(&self, batch: Batch) -> Batch {
        let count = self.reached.len();
        let mut params: Vec<Value> = self.reached.keys().copied().map(Value::from).collect();
        params.extend(self.reached.iter().flat_map(|(user, up_to)| params![*user, *up_to]));
        batch.at_least(
            count,
            format!(
                "SELECT h.user_id FROM inbox_heads h WHERE h.user_id IN ({}) AND h.last_seq >= CASE h.user_id {} END",
                sql::placeholders(count),
                vec!["WHEN ? THEN ?"; count].join(" ")
            ),
            params,
        )
    }

    /// Adds the statement that moves the devices, all of which have a cursor already.
    fn move_cursors(&self, batch: Batch, now: u64) -> Batch {
        let count = self.cursors.len();
        let (mut params, mut named) = (Vec::new(), Vec::new());
        for ((user, device), seq) in &self.cursors {
            params.extend(params![*user, *device, *seq, *seq]);
            named.extend(params![*user, *device]);
        }
        params.extend(params![now]);
        params.extend(named);
        batch.at_least(
            count,
            format!(
                "UPDATE device_cursors SET seq = CASE {} ELSE seq END, updated_at = ? WHERE {}",
                vec!["WHEN user_id = ? AND device = ? AND seq < ? THEN ?"; count].join(" "),
                vec!["(user_id = ? AND device = ?)"; count].join(" OR ")
            ),
            params,
        )
    }

    /// Tells the senders, and counts as [`ack`] does.
    async fn settle(&self, acks: &[Ack], done: &[Done], now: u64) -> Result<Vec<u32>, Error> {
        let found: HashMap<u64, &Row> = match self.messages.is_empty() {
            true => HashMap::new(),
            false => {
                let found = rows(done, 0).iter().map(|row| Ok((row.at(0)?, row)));
                found.collect::<Result<_, Error>>()?
            }
        };
        let (mut receipts, mut told) = (Receipts::default(), BTreeSet::new());
        for ack in acks {
            for id in &ack.messages {
                // Another device of the user may have it, too.
                if let Some(row) = found.get(id).filter(|_| told.insert((ack.caller.user, *id))) {
                    receipts.note(ack.caller.user, row)?;
                }
            }
        }
        receipts.push(now).await;
        let updates = acks.iter().filter(|ack| !ack.messages.is_empty()).count();
        let mut moved = done
            .iter()
            .skip(done.len().saturating_sub(updates))
            .map(|done| done.affected);
        let count = |ack: &Ack| match ack.messages.is_empty() {
            true => 0,
            false => u32::try_from(moved.next().unwrap_or(0)).unwrap_or(u32::MAX),
        };
        Ok(acks.iter().map(count).collect())
    }
}
