//! What a device has missed, and what was before.
//!
//! It owns the reading of inboxes and conversations. Nothing here writes but the cursor of a device: the
//! states of messages are moved by acknowledgements, which are `send`'s.

#[expect(missing_docs, reason = "generated from WIT, where the documentation is")]
mod bindings;
mod conversations;
mod history;
mod inbox;

use bindings::exports::mpim::im::pull_offline as exports;
pub use exports::Guest as PullOffline;
pub use exports::{Conversation, Entry, EntryKind, Page};
use guest::{Caller, Error, Message};

/// The component: see `wit/im/pull.wit` for what each method promises.
pub struct Component;

impl exports::Guest for Component {
    async fn pull(caller: Caller, since: Option<u64>, limit: Option<u32>) -> Result<Page, Error> {
        inbox::pull(&caller, since, limit).await
    }

    async fn history(
        caller: Caller,
        conversation: u64,
        before: Option<u64>,
        after: Option<u64>,
        limit: Option<u32>,
    ) -> Result<Vec<Message>, Error> {
        history::history(&caller, conversation, before, after, limit).await
    }

    async fn conversations(caller: Caller, limit: Option<u32>) -> Result<Vec<Conversation>, Error> {
        conversations::conversations(&caller, limit).await
    }
}
