//! The messages of a group after a seq.
//!
//! Seqs are given under the row lock of the conversation, in the transaction of their message: when a
//! message is kept, every message before it is, so that a page may go on from the last one. The end of the group
//! is always asked of the store; what lies before it may come from the cache, see [`record`].

use guest::sql::Row;
use guest::{Caller, Error, Message, Qos, params};
use message::record::{self, End, as_accepted};
use message::{COLUMNS, Room, SEQ, WIDTH, bounded};

use crate::bindings::exports::mpim::im::group_pull::Page;
use crate::cursor::{Standing, end, no_such_group, standing, start};

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 500;

/// A page of a group. It moves no cursor.
pub(crate) async fn pull(caller: &Caller, group: u64, since: Option<u64>, limit: Option<u32>) -> Result<Page, Error> {
    let (from, end) = begin(caller, group, since).await?;
    if since.is_some_and(|since| since > end.seq) {
        return Err(Error::invalid("since is past the end of the group"));
    }
    if from >= end.seq {
        return Ok(page(Vec::new(), from, false));
    }
    let limit = bounded(limit, DEFAULT_LIMIT, MOST);
    if let Some(messages) = record::page(group, from, end, limit).await {
        let more = messages.last().is_some_and(|message| message.seq < end.seq);
        let due = |message| Due { message, had: false };
        return Ok(page(messages.into_iter().map(due).collect(), from, more));
    }
    stored(caller, group, from, limit).await
}

/// From where the caller reads, and how far the group reaches. Whoever says from where needs their membership only,
/// which is mostly cached.
async fn begin(caller: &Caller, group: u64, since: Option<u64>) -> Result<(u64, End), Error> {
    if let Some(since) = since {
        let joined = membership::joined(group, caller.user)
            .await?
            .ok_or_else(no_such_group)?;
        return Ok((start(Some(since), 0, joined), end(group).await?));
    }
    let Standing { joined, cursor, end } = standing(caller, group).await?;
    Ok((start(None, cursor, joined), end))
}

/// A page from the store.
async fn stored(caller: &Caller, group: u64, from: u64, limit: u32) -> Result<Page, Error> {
    let statement = format!(
        "SELECT {COLUMNS}, d.delivered_at FROM messages m \
         LEFT JOIN deliveries d ON d.message_id = m.id AND d.user_id = ? AND d.device = ? \
         WHERE m.conversation_id = ? AND m.seq > ? ORDER BY m.seq LIMIT ?"
    );
    let params = params![caller.user, caller.device.as_str(), group, from];
    let (rows, more) = message::page_after(&statement, params, limit, from, SEQ).await?;
    let read = rows.iter().map(Due::read).collect::<Result<_, Error>>()?;
    Ok(page(read, from, more))
}

/// A message of the page to be made.
struct Due {
    message: Message,
    /// The device has acknowledged it, and wants it exactly once.
    had: bool,
}

impl Due {
    fn read(row: &Row) -> Result<Self, Error> {
        let message = as_accepted(message::read(row, 0)?);
        let acknowledged = row.at::<Option<u64>>(WIDTH)?.is_some();
        Ok(Self {
            had: acknowledged && message.qos == Qos::ExactlyOnce,
            message,
        })
    }
}

/// The messages without those that the device has had; `next` passes them all the same.
fn page(read: Vec<Due>, from: u64, more: bool) -> Page {
    let mut page = Page {
        messages: Vec::with_capacity(read.len()),
        next: from,
        more,
    };
    let mut room = Room::default();
    for Due { message, had } in read {
        if !had && !room.take(&message) {
            page.more = true;
            break;
        }
        page.next = message.seq;
        if !had {
            page.messages.push(message);
        }
    }
    page
}
