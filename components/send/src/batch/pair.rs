//! The batch of a pair: messages from one sender to one receiver that follow each other in a call.

use guest::{Caller, Qos};

use crate::draft::Draft;

/// Messages from one sender to one receiver, in their order: all of them go into the inbox, or none does.
pub(crate) struct PairBatch {
    pub(crate) caller: Caller,
    pub(crate) to: u64,
    pub(crate) drafts: Vec<Draft>,
    /// Where among all messages of the call its own are.
    pub(crate) indexes: Vec<usize>,
}

impl PairBatch {
    pub(crate) fn new(caller: Caller, to: u64, draft: Draft, index: usize) -> Self {
        Self {
            caller,
            to,
            drafts: vec![draft],
            indexes: vec![index],
        }
    }

    pub(crate) fn push(&mut self, draft: Draft, index: usize) {
        self.drafts.push(draft);
        self.indexes.push(index);
    }

    /// Whether they go into the inbox of the receiver.
    pub(crate) fn is_kept_in_inbox(&self) -> bool {
        self.drafts.iter().all(is_kept_in_inbox)
    }

    /// Whether a message may follow.
    pub(crate) fn takes(&self, caller: &Caller, to: u64, draft: &Draft) -> bool {
        let alike = self.is_kept_in_inbox() == is_kept_in_inbox(draft);
        alike && self.to == to && self.whose() == whose(caller)
    }

    /// What tells its caller from others.
    pub(crate) fn whose(&self) -> (u64, u64, Option<u64>) {
        whose(&self.caller)
    }
}

fn is_kept_in_inbox(draft: &Draft) -> bool {
    draft.qos != Qos::AtMostOnce
}

fn whose(caller: &Caller) -> (u64, u64, Option<u64>) {
    (caller.user, caller.session, caller.connection)
}
