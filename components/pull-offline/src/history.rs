//! Messages of a conversation by seq, for its members.

use guest::sql::{self, Row};
use guest::{Caller, Error, Message, params};
use message::{COLUMNS, SEQ, bounded};

const DEFAULT_LIMIT: u32 = 50;
const MOST: u32 = 200;

/// A page of a conversation. A member of a group sees nothing from before joining.
pub(crate) async fn history(
    caller: &Caller,
    conversation: u64,
    before: Option<u64>,
    after: Option<u64>,
    limit: Option<u32>,
) -> Result<Vec<Message>, Error> {
    let limit = bounded(limit, DEFAULT_LIMIT, MOST);
    let (rows, _) = match (before, after) {
        (Some(_), Some(_)) => return Err(Error::invalid("both before and after are given")),
        (None, Some(after)) => {
            let from = after.max(joined(caller, conversation).await?);
            let params = params![conversation, caller.user, after];
            let (rows, _) = message::page_after(&statement("AND m.seq > ?", "ASC"), params, limit, from, SEQ).await?;
            return read(&rows);
        }
        (Some(before), None) => {
            let statement = statement("AND m.seq < ?", "DESC");
            let params = params![conversation, caller.user, before];
            // What lies back has mostly been copied long ago.
            if let Some(rows) = message::page_stale(&statement, params.clone(), limit, before, SEQ).await {
                return read(&rows);
            }
            message::page_back(&statement, params, limit, SEQ).await?
        }
        (None, None) => {
            let params = params![conversation, caller.user];
            message::page_back(&statement("", "DESC"), params, limit, SEQ).await?
        }
    };
    if rows.is_empty() {
        // Nothing there, or nothing for the caller: only then is it worth another read.
        joined(caller, conversation).await?;
    }
    read(&rows)
}

fn read(rows: &[Row]) -> Result<Vec<Message>, Error> {
    rows.iter().map(|row| message::read(row, 0)).collect()
}

fn statement(condition: &str, order: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM members x \
         JOIN messages m ON m.conversation_id = x.conversation_id AND m.seq > x.joined_seq \
         WHERE x.conversation_id = ? AND x.user_id = ? {condition} ORDER BY m.seq {order} LIMIT ?"
    )
}

/// Messages up to this seq were sent before the caller joined; `not-found` for who is no member.
async fn joined(caller: &Caller, conversation: u64) -> Result<u64, Error> {
    sql::query_one(
        "SELECT x.joined_seq FROM members x WHERE x.conversation_id = ? AND x.user_id = ?",
        params![conversation, caller.user],
    )
    .await?
    .ok_or_else(|| Error::not_found("no such conversation"))?
    .at(0)
}
