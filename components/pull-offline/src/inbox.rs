//! The inbox of a user after a cursor.
//!
//! A seq is given under the row lock of the inbox's head, in the transaction of its entry: when an entry
//! is kept, every entry before it is. That is why a page may go on from the last seq that it saw.

use guest::sql::{self, Row};
use guest::{Caller, Error, Qos, now_ms, params};
use message::{COLUMNS, Room, WIDTH, bounded, cursor};

use crate::bindings::exports::mpim::im::pull_offline::{Entry, EntryKind, Page};

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 500;

/// A page of the caller's inbox. A cursor that is given is kept as that of the device.
pub(crate) async fn pull(caller: &Caller, since: Option<u64>, limit: Option<u32>) -> Result<Page, Error> {
    let ends = ends(caller).await?;
    let from = since.or(ends.device).unwrap_or(0);
    if since.is_some_and(|since| since > ends.head) {
        return Err(Error::invalid("since is past the end of the inbox"));
    }
    if since.is_some_and(|since| since > ends.device.unwrap_or(0)) {
        cursor::advance(caller.user, &caller.device, from, now_ms()).await?;
    }
    page(caller, from, bounded(limit, DEFAULT_LIMIT, MOST)).await
}

/// Where the inbox ends, and where the device is in it.
struct Ends {
    head: u64,
    device: Option<u64>,
}

async fn ends(caller: &Caller) -> Result<Ends, Error> {
    let row = sql::query_one(
        "SELECT h.last_seq, d.seq FROM inbox_heads h \
         LEFT JOIN device_cursors d ON d.user_id = h.user_id AND d.device = ? WHERE h.user_id = ?",
        params![caller.device.as_str(), caller.user],
    )
    .await?;
    // Who never received anything has no head, and no device a cursor.
    let Some(row) = row else {
        return Ok(Ends { head: 0, device: None });
    };
    Ok(Ends {
        head: row.at(0)?,
        device: row.at(1)?,
    })
}

async fn page(caller: &Caller, from: u64, limit: u32) -> Result<Page, Error> {
    let statement = format!(
        "SELECT {COLUMNS}, i.seq, i.kind, d.delivered_at FROM inbox i JOIN messages m ON m.id = i.message_id \
         LEFT JOIN deliveries d ON d.message_id = m.id AND d.user_id = i.user_id AND d.device = ? \
         WHERE i.user_id = ? AND i.seq > ? ORDER BY i.seq LIMIT ?"
    );
    let params = params![caller.device.as_str(), caller.user, from];
    let (rows, more) = message::page_after(&statement, params, limit, from, WIDTH).await?;
    let mut page = Page {
        entries: Vec::with_capacity(rows.len()),
        next: from,
        more,
    };
    let mut room = Room::default();
    for row in &rows {
        let Found { entry, acknowledged } = read(row)?;
        let due = is_due(&entry, acknowledged);
        if due && !room.take(&entry.message) {
            page.more = true;
            break;
        }
        page.next = entry.cursor;
        if due {
            page.entries.push(entry);
        }
    }
    Ok(page)
}

/// An entry of the inbox, and whether this device has acknowledged its message.
struct Found {
    entry: Entry,
    acknowledged: bool,
}

fn read(row: &Row) -> Result<Found, Error> {
    let recall: bool = row.at(WIDTH + 1)?;
    let kind = if recall { EntryKind::Recall } else { EntryKind::Message };
    let acknowledged = row.at::<Option<u64>>(WIDTH + 2)?.is_some();
    Ok(Found {
        entry: Entry {
            cursor: row.at(WIDTH)?,
            kind,
            message: message::read(row, 0)?,
        },
        acknowledged,
    })
}

/// Whether a device is given an entry: an exactly-once message that it has acknowledged is passed over,
/// the news that it was taken back is not.
fn is_due(entry: &Entry, acknowledged: bool) -> bool {
    !(acknowledged && entry.kind == EntryKind::Message && entry.message.qos == Qos::ExactlyOnce)
}
