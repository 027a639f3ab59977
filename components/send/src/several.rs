//! Several messages in one call: those for one receiver that follow each other are kept in one write.

use guest::{Caller, Error, Qos, Receipt, rate_limit};

use crate::Wanted;
use crate::direct;
use crate::draft::{Draft, Target};

type Answer = Result<Receipt, Error>;

/// Sends in order; each has its own answer.
pub(crate) async fn send(caller: &Caller, wanted: Vec<Wanted>) -> Result<Vec<Answer>, Error> {
    guest::at_most_together(wanted.len())?;
    // Where there are not enough permits for all, each message asks for its own.
    let permits = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let permitted = rate_limit::acquire("send", &caller.user.to_string(), permits).is_ok();
    let mut answers = Vec::with_capacity(wanted.len());
    let mut run = Run::default();
    for wanted in wanted {
        let to = wanted.to;
        match check(caller, wanted, permitted) {
            Ok(draft) => {
                if !run.takes(to, &draft) {
                    answers.extend(run.end(caller).await);
                }
                run.to = to;
                run.drafts.push(draft);
            }
            Err(error) => {
                answers.extend(run.end(caller).await);
                answers.push(Err(error));
            }
        }
    }
    answers.extend(run.end(caller).await);
    Ok(answers)
}

fn check(caller: &Caller, wanted: Wanted, permitted: bool) -> Result<Draft, Error> {
    if !permitted {
        rate_limit::acquire("send", &caller.user.to_string(), 1)?;
    }
    let Wanted {
        to,
        client_id,
        content,
        content_type,
        priority,
        qos,
    } = wanted;
    Draft::new(Target::User(to), client_id, content, content_type, priority, qos)
}

/// Messages that can be kept in one write.
#[derive(Default)]
struct Run {
    to: u64,
    drafts: Vec<Draft>,
}

impl Run {
    fn takes(&self, to: u64, draft: &Draft) -> bool {
        let once = |draft: &Draft| draft.qos == Qos::AtMostOnce;
        let alike = |first: &Draft| self.to == to && once(first) == once(draft);
        self.drafts.first().is_none_or(alike)
    }

    async fn end(&mut self, caller: &Caller) -> Vec<Answer> {
        let drafts = std::mem::take(&mut self.drafts);
        if drafts.is_empty() {
            return Vec::new();
        }
        direct::send(caller, self.to, &drafts).await
    }
}
