//! Messages of a conversation by place, for its members.

use guest::sql::{self, Row, Value};
use guest::{Caller, Error, Message, params};
use message::{COLUMNS, bounded};

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
    let (condition, order, place) = match (before, after) {
        (Some(_), Some(_)) => return Err(Error::invalid("both before and after are given")),
        (None, Some(after)) => ("AND m.seq > ?", "ASC", Some(after)),
        (Some(before), None) => ("AND m.seq < ?", "DESC", Some(before)),
        (None, None) => ("", "DESC", None),
    };
    let mut params = params![conversation, caller.user];
    params.extend(place.map(Value::from));
    let statement = format!(
        "SELECT {COLUMNS} FROM members x \
         JOIN messages m ON m.conversation_id = x.conversation_id AND m.seq > x.joined_seq \
         WHERE x.conversation_id = ? AND x.user_id = ? {condition} ORDER BY m.seq {order} LIMIT ?"
    );
    let (rows, _) = message::page(&statement, params, bounded(limit, DEFAULT_LIMIT, MOST)).await?;
    if rows.is_empty() {
        // Nothing there, or nothing for the caller: only then is it worth another read.
        member(caller, conversation).await?;
    }
    rows.iter().map(|row| message::read(row, 0)).collect()
}

async fn member(caller: &Caller, conversation: u64) -> Result<Row, Error> {
    sql::query_one(
        "SELECT x.joined_seq FROM members x WHERE x.conversation_id = ? AND x.user_id = ?",
        params![conversation, caller.user],
    )
    .await?
    .ok_or_else(|| Error::not_found("no such conversation"))
}
