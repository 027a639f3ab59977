//! The messages of a group after a place.
//!
//! Places are given under the row lock of the conversation, in the transaction of their message: when a
//! message can be read, every message before it can, so that a page may go on from the last one.

use guest::sql::Row;
use guest::{Caller, Error, Message, Qos, params};
use message::{COLUMNS, Room, WIDTH, bounded};

use crate::Page;
use crate::cursor::{no_such_group, standing, start};

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 500;

/// A page of a group. It moves no cursor.
pub(crate) async fn pull(caller: &Caller, group: u64, since: Option<u64>, limit: Option<u32>) -> Result<Page, Error> {
    let from = begin(caller, group, since).await?;
    let limit = bounded(limit, DEFAULT_LIMIT, MOST);
    let statement = format!(
        "SELECT {COLUMNS}, d.delivered_at FROM messages m \
         LEFT JOIN deliveries d ON d.message_id = m.id AND d.user_id = ? AND d.device = ? \
         WHERE m.conversation_id = ? AND m.seq > ? ORDER BY m.seq LIMIT ?"
    );
    let params = params![caller.user, caller.device.as_str(), group, from];
    let (rows, more) = message::page(&statement, params, limit).await?;
    if rows.is_empty() && since.is_some_and(|since| since > 0) {
        // A place past the end has nothing behind it either: only then is it worth a look at the end.
        let standing = standing(caller, group).await?;
        if since.is_some_and(|since| since > standing.last) {
            return Err(Error::invalid("since is past the end of the group"));
        }
    }
    page(&rows, from, more)
}

/// From where the caller reads. Whoever says so needs their membership only, which is mostly cached.
async fn begin(caller: &Caller, group: u64, since: Option<u64>) -> Result<u64, Error> {
    if let Some(since) = since {
        let joined = membership::joined(group, caller.user)
            .await?
            .ok_or_else(no_such_group)?;
        return Ok(start(Some(since), 0, joined));
    }
    let standing = standing(caller, group).await?;
    Ok(start(None, standing.cursor, standing.joined))
}

/// The messages of the rows without those that the device has acknowledged and wants exactly once; `next`
/// passes them all the same.
fn page(rows: &[Row], from: u64, more: bool) -> Result<Page, Error> {
    let mut page = Page {
        messages: Vec::with_capacity(rows.len()),
        next: from,
        more,
    };
    let mut room = Room::default();
    for row in rows {
        let message: Message = message::read(row, 0)?;
        let acknowledged = row.at::<Option<u64>>(WIDTH)?.is_some();
        let due = !(acknowledged && message.qos == Qos::ExactlyOnce);
        if due && !room.take(&message) {
            page.more = true;
            break;
        }
        page.next = message.seq;
        if due {
            page.messages.push(message);
        }
    }
    Ok(page)
}
