//! Batches: many messages in one call, of one caller or of many. What follows each other from one sender to one receiver
//! is the batch of a pair, and batches of pairs that can be kept in one write are.

pub(crate) mod ack;
mod pair;
mod write;

use guest::{Caller, Error, Receipt, rate_limit};

use crate::bindings::exports::mpim::im::delivery::SendMessageCall;
use crate::bindings::exports::mpim::im::send::Draft as Wanted;
use crate::direct;
use crate::draft::{Draft, Target};
use pair::PairBatch;

type Answer = Result<Receipt, Error>;

/// The call of `send-message` by which a caller sends what they want to.
pub(crate) fn call(caller: Caller, wanted: Wanted) -> SendMessageCall {
    SendMessageCall {
        caller,
        to: wanted.to,
        client_id: wanted.client_id,
        content: wanted.content,
        content_type: wanted.content_type,
        priority: wanted.priority,
        qos: wanted.qos,
    }
}

/// Sends, those of each caller in order; each has its own answer.
pub(crate) async fn send(calls: Vec<SendMessageCall>) -> Result<Vec<Answer>, Error> {
    guest::check_batch(calls.len())?;
    let permitted = permitted(&calls);
    let mut answers: Vec<Option<Answer>> = calls.iter().map(|_| None).collect();
    let mut pairs: Vec<PairBatch> = Vec::new();
    let wanted = answers.iter_mut().zip(calls).zip(permitted).enumerate();
    for (index, ((answer, call), permitted)) in wanted {
        let (caller, to) = (call.caller.clone(), call.to);
        match check(call, permitted) {
            Err(error) => *answer = Some(Err(error)),
            Ok(draft) => match pairs.last_mut().filter(|pair| pair.takes(&caller, to, &draft)) {
                Some(pair) => pair.push(draft, index),
                None => pairs.push(PairBatch::new(caller, to, draft, index)),
            },
        }
    }
    for pairs in pairs.chunk_by(|one, next| one.is_kept_in_inbox() && next.is_kept_in_inbox()) {
        let given = match pairs {
            [pair] => vec![direct::send(&pair.caller, pair.to, &pair.drafts).await],
            pairs => write::send(pairs).await,
        };
        for (pair, given) in pairs.iter().zip(given) {
            for (index, given) in pair.indexes.iter().zip(given) {
                if let Some(answer) = answers.get_mut(*index) {
                    *answer = Some(given);
                }
            }
        }
    }
    let missing = || Err(Error::internal("internal error"));
    Ok(answers
        .into_iter()
        .map(|answer| answer.unwrap_or_else(missing))
        .collect())
}

/// Whether each message has a permit of its sender. Where there are not enough for all that follow each other of one
/// sender, each asks for its own.
fn permitted(calls: &[SendMessageCall]) -> Vec<Result<(), Error>> {
    let mut permitted = Vec::with_capacity(calls.len());
    for of_one in calls.chunk_by(|one, next| one.caller.user == next.caller.user) {
        let sender = of_one.first().map_or(0, |call| call.caller.user).to_string();
        let permits = u32::try_from(of_one.len()).unwrap_or(u32::MAX);
        let all = rate_limit::acquire("send", &sender, permits).is_ok();
        permitted.extend(of_one.iter().map(|_| match all {
            true => Ok(()),
            false => rate_limit::acquire("send", &sender, 1),
        }));
    }
    permitted
}

fn check(call: SendMessageCall, permitted: Result<(), Error>) -> Result<Draft, Error> {
    permitted?;
    direct::check(&call.caller, call.to)?;
    Draft::new(
        Target::User(call.to),
        call.client_id,
        call.content,
        call.content_type,
        call.priority,
        call.qos,
    )
}
