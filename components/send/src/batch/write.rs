//! Messages of several senders to several receivers in one write: as many statements as for one sender, whoever they are.
//!
//! It knows the usual case alone. Where anything else is met (a first message of two, a repeat, a receiver who is not to
//! be sent to) nothing is kept, and each pair is sent alone, those of different senders side by side: that costs them what
//! it would have cost to be alone, and the write that came to nothing.

use std::collections::BTreeMap;

use guest::sql::{self, Batch, Done, Error as SqlError, Found, Value};
use guest::{Error, Receipt, join_all, params};

use crate::direct::{self, Sequenced, ends};
use crate::inbox::{self, Entry};
use crate::push::Reach;
use crate::unsequenced::{self, Conversation, Position, Unsequenced, row};

use super::pair::PairBatch;

/// Sends what goes into inboxes; the answers of each pair.
pub(crate) async fn send(pairs: &[PairBatch]) -> Vec<Vec<Result<Receipt, Error>>> {
    let reaches = join_all(pairs.iter().map(|pair| Reach::find(pair.to, &pair.caller))).await;
    match keep(pairs, &reaches).await {
        Ok(kept) => {
            let told = pairs.iter().zip(kept).zip(reaches);
            join_all(told.map(|((pair, kept), reach)| direct::announce(&pair.caller, pair.to, kept, reach))).await
        }
        Err(Refused::Apart) => apart(pairs).await,
        Err(Refused::All(error)) => pairs.iter().map(|pair| direct::all(&pair.drafts, &error)).collect(),
    }
}

/// Sends each pair alone, those of one caller one after another.
async fn apart(pairs: &[PairBatch]) -> Vec<Vec<Result<Receipt, Error>>> {
    let mut of_callers: BTreeMap<_, Vec<(usize, &PairBatch)>> = BTreeMap::new();
    for (index, pair) in pairs.iter().enumerate() {
        of_callers.entry(pair.whose()).or_default().push((index, pair));
    }
    let sent = of_callers.into_values().map(|pairs| async move {
        let mut answers = Vec::with_capacity(pairs.len());
        for (index, pair) in pairs {
            answers.push((index, direct::send(&pair.caller, pair.to, &pair.drafts).await));
        }
        answers
    });
    let answers: BTreeMap<_, _> = join_all(sent).await.into_iter().flatten().collect();
    answers.into_values().collect()
}

/// Why nothing was kept.
enum Refused {
    /// It is not the usual case for one of them.
    Apart,
    All(Error),
}

async fn keep(pairs: &[PairBatch], reaches: &[Reach]) -> Result<Vec<Vec<Sequenced>>, Refused> {
    let plan = Plan::new(pairs, reaches);
    match plan.batch().run().await {
        Ok(done) => plan.sequenced(&done).map_err(Refused::All),
        Err(SqlError::Unmet(_) | SqlError::UniqueViolation(_)) => Err(Refused::Apart),
        Err(error) => Err(Refused::All(error.into())),
    }
}

/// How many pairs have their seqs read in one statement: a join of two tables for each.
const READ_AT_ONCE: usize = 8;
/// The columns of each in it: the conversation, the last seq in it, the last seq in the inbox.
const COLUMNS: u32 = 3;
/// The statements before those that read seqs.
const BEFORE: usize = 4;

/// What is written.
struct Plan<'a> {
    ways: Vec<Way<'a>>,
    /// How many messages go into each conversation, and when the last was made.
    conversations: BTreeMap<(u64, u64), (u64, u64)>,
    /// How many go into each inbox.
    inboxes: BTreeMap<u64, u64>,
}

/// The messages of a pair on their way.
struct Way<'a> {
    pair: &'a PairBatch,
    ends: (u64, u64),
    messages: Vec<OnWay<'a>>,
}

struct OnWay<'a> {
    message: Unsequenced<'a>,
    /// How many come after it into the same conversation, and into the same inbox.
    behind: (u64, u64),
}

impl<'a> Plan<'a> {
    fn new(pairs: &'a [PairBatch], reaches: &[Reach]) -> Self {
        let mut conversations: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        let mut inboxes: BTreeMap<_, u64> = BTreeMap::new();
        let mut ways = Vec::with_capacity(pairs.len());
        // From the end: what was counted by then comes after.
        for (pair, reach) in pairs.iter().zip(reaches).rev() {
            let ends = ends(pair.caller.user, pair.to);
            let mut messages = Vec::with_capacity(pair.drafts.len());
            for draft in pair.drafts.iter().rev() {
                let message = Unsequenced::new(draft, pair.caller.user, reach.receiver);
                let (in_conversation, last_at) = conversations.entry(ends).or_default();
                let in_inbox = inboxes.entry(pair.to).or_default();
                let behind = (*in_conversation, *in_inbox);
                *in_conversation += 1;
                *last_at = message.created_at.max(*last_at);
                *in_inbox += 1;
                messages.push(OnWay { message, behind });
            }
            messages.reverse();
            ways.push(Way { pair, ends, messages });
        }
        ways.reverse();
        Self {
            ways,
            conversations,
            inboxes,
        }
    }

    /// The whole write. As everywhere conversations are locked before inboxes; those of a kind in one statement, and
    /// both in the order of their keys. What may be missing is looked for first: a batch that has changed rows and is then
    /// undone costs an embedded store a second run of all that it keeps in one transaction.
    fn batch(&self) -> Batch {
        let mut batch = self.raise_inboxes(self.raise_conversations(self.check()));
        for ways in self.ways.chunks(READ_AT_ONCE) {
            batch = read_seqs(batch, ways);
        }
        let messages = self.all().map(|(_, sent, conversation, last, _)| {
            let position = Position {
                conversation: Conversation::Found(conversation),
                last,
                behind: sent.behind.0,
            };
            (&sent.message, position)
        });
        let entries = self.all().map(|(pair, sent, _, _, last)| Entry {
            user: pair.to,
            message: sent.message.id,
            last,
            behind: sent.behind.1,
        });
        inbox::enter(unsequenced::insert(batch, messages), entries)
    }

    /// The guards: every receiver has an inbox, none of them has blocked any of the senders, every conversation is there.
    fn check(&self) -> Batch {
        let mut senders: Vec<u64> = self.ways.iter().map(|way| way.pair.caller.user).collect();
        senders.sort_unstable();
        senders.dedup();
        let mut receivers = inbox::values(&senders);
        receivers.extend(self.inboxes.keys().copied().map(Value::from));
        let ends = self.conversations.keys().flat_map(|(low, high)| params![*low, *high]);
        Batch::new()
            .at_least(
                self.inboxes.len(),
                format!(
                    "SELECT h.user_id FROM inbox_heads h LEFT JOIN blocks b ON b.owner_id = h.user_id AND b.peer_id IN ({}) \
                     WHERE h.user_id IN ({}) AND b.peer_id IS NULL",
                    sql::placeholders(senders.len()),
                    sql::placeholders(self.inboxes.len())
                ),
                receivers,
            )
            .at_least(
                self.conversations.len(),
                format!("SELECT id FROM conversations WHERE {}", self.named()),
                ends.collect::<Vec<_>>(),
            )
    }

    /// The condition for all conversations.
    fn named(&self) -> String {
        vec!["(user_low = ? AND user_high = ?)"; self.conversations.len()].join(" OR ")
    }

    fn raise_conversations(&self, batch: Batch) -> Batch {
        let count = self.conversations.len();
        let (mut raised, mut made, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for ((low, high), (messages, at)) in &self.conversations {
            raised.extend(params![*low, *high, *messages]);
            made.extend(params![*low, *high, *at]);
            ends.extend(params![*low, *high]);
        }
        raised.extend(made);
        raised.extend(ends);
        let when = vec!["WHEN user_low = ? AND user_high = ? THEN ?"; count].join(" ");
        batch.at_least(
            count,
            format!(
                "UPDATE conversations SET last_seq = last_seq + CASE {when} END, last_at = CASE {when} END WHERE {}",
                self.named()
            ),
            raised,
        )
    }

    fn raise_inboxes(&self, batch: Batch) -> Batch {
        let count = self.inboxes.len();
        let mut values: Vec<Value> = self
            .inboxes
            .iter()
            .flat_map(|(user, entries)| params![*user, *entries])
            .collect();
        values.extend(self.inboxes.keys().copied().map(Value::from));
        batch.at_least(
            count,
            format!(
                "UPDATE inbox_heads SET last_seq = last_seq + CASE user_id {} END WHERE user_id IN ({})",
                vec!["WHEN ? THEN ?"; count].join(" "),
                sql::placeholders(count)
            ),
            values,
        )
    }

    /// Every message with its pair, and with what reads its conversation and the last seqs.
    fn all(&self) -> impl Iterator<Item = (&PairBatch, &OnWay<'a>, Found, Found, Found)> {
        self.ways.iter().enumerate().flat_map(|(index, way)| {
            let (step, column) = read_at(index);
            let [conversation, last, head] = [0, 1, 2].map(|offset| (step, column + offset));
            let messages = way.messages.iter();
            messages.map(move |sent| (way.pair, sent, conversation, last, head))
        })
    }

    /// The messages of each pair with the seqs that the batch gave.
    fn sequenced(&self, done: &[Done]) -> Result<Vec<Vec<Sequenced>>, Error> {
        let way = |(index, way): (usize, &Way<'_>)| {
            let (step, column) = read_at(index);
            let (row, column) = (row(done, step)?, usize::try_from(column).unwrap_or(usize::MAX));
            let (conversation, last, head): (u64, u64, u64) =
                (row.at(column)?, row.at(column + 1)?, row.at(column + 2)?);
            let sequenced = way.messages.iter().map(|OnWay { message, behind }| {
                let message = message.sequenced(conversation, last.saturating_sub(behind.0));
                Sequenced::new(message, Some(head.saturating_sub(behind.1)))
            });
            Ok(sequenced.collect())
        };
        self.ways.iter().enumerate().map(way).collect()
    }
}

/// Adds the statement that reads the seqs of some pairs, all in one row.
fn read_seqs(batch: Batch, ways: &[Way<'_>]) -> Batch {
    let (mut columns, mut tables, mut wheres, mut values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, way) in ways.iter().enumerate() {
        columns.push(format!("c{index}.id, c{index}.last_seq, h{index}.last_seq"));
        tables.push(format!("conversations c{index} JOIN inbox_heads h{index}"));
        wheres.push(format!(
            "c{index}.user_low = ? AND c{index}.user_high = ? AND h{index}.user_id = ?"
        ));
        values.extend(params![way.ends.0, way.ends.1, way.pair.to]);
    }
    batch.need(
        format!(
            "SELECT {} FROM {} WHERE {}",
            columns.join(", "),
            tables.join(" JOIN "),
            wheres.join(" AND ")
        ),
        values,
    )
}

/// The statement, and its first column, that reads the seqs of the pair with this index.
fn read_at(index: usize) -> Found {
    let column = u32::try_from(index % READ_AT_ONCE).unwrap_or(0) * COLUMNS;
    (BEFORE + index / READ_AT_ONCE, column)
}
