//! Messages of large groups, and the cursors of their members.
//!
//! A group at or above the threshold has one row a message and nothing in inboxes: its members read the
//! conversation itself, each from a cursor. It works for groups of every size, since every group is a
//! conversation.

#[expect(missing_docs, reason = "generated from WIT, where the documentation is")]
mod bindings;
mod cursor;
mod messages;

use bindings::exports::mpim::im::group_pull as exports;
pub use exports::Guest as GroupPull;
pub use exports::{Page, UnreadGroup};
use guest::{Caller, Error};

/// The component: see `wit/im/pull.wit` for what each method promises.
pub struct Component;

impl exports::Guest for Component {
    async fn pull(caller: Caller, group: u64, since: Option<u64>, limit: Option<u32>) -> Result<Page, Error> {
        messages::pull(&caller, group, since, limit).await
    }

    async fn set_cursor(caller: Caller, group: u64, cursor: u64) -> Result<(), Error> {
        cursor::set(&caller, group, cursor).await
    }

    async fn unread(caller: Caller) -> Result<Vec<UnreadGroup>, Error> {
        cursor::unread(&caller).await
    }
}
