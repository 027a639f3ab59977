//! Messages of a conversation by place, for its members.

use guest::sql::{self, Row, Value};
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
    let rows = match (before, after) {
        (Some(_), Some(_)) => return Err(Error::invalid("both before and after are given")),
        (None, Some(after)) => {
            let joined: u64 = member(caller, conversation).await?.at(0)?;
            let params = params![conversation, caller.user, after];
            let from = after.max(joined);
            message::page_after(&statement("AND m.seq > ?", "ASC"), params, limit, from, SEQ).await?
        }
        (Some(before), None) => {
            let statement = statement("AND m.seq < ?", "DESC");
            let params = params![conversation, caller.user, before];
            if let Some(messages) = settled(&statement, params.clone(), limit, before).await {
                return Ok(messages);
            }
            message::page_back(&statement, params, limit, SEQ).await?
        }
        (None, None) => {
            let params = params![conversation, caller.user];
            message::page_back(&statement("", "DESC"), params, limit, SEQ).await?
        }
    };
    let (rows, _) = rows;
    if rows.is_empty() {
        // Nothing there, or nothing for the caller: only then is it worth another read.
        member(caller, conversation).await?;
    }
    rows.iter().map(|row| message::read(row, 0)).collect()
}

fn statement(condition: &str, order: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM members x \
         JOIN messages m ON m.conversation_id = x.conversation_id AND m.seq > x.joined_seq \
         WHERE x.conversation_id = ? AND x.user_id = ? {condition} ORDER BY m.seq {order} LIMIT ?"
    )
}

/// A page before a place, from a copy of the store where it has the page as a whole: what lies back has mostly been
/// copied long ago.
async fn settled(statement: &str, params: Vec<Value>, limit: u32, before: u64) -> Option<Vec<Message>> {
    let (rows, more) = message::page_stale(statement, params, limit).await.ok()?;
    let messages: Vec<Message> = rows
        .iter()
        .map(|row| message::read(row, 0))
        .collect::<Result<_, _>>()
        .ok()?;
    let places: Vec<u64> = messages.iter().map(|message| message.seq).collect();
    is_whole(&places, before, more).then_some(messages)
}

/// Places have no gaps: a page lacks nothing that goes back place by place, from the one before, to its bound or to the
/// first of all. (One that ends where its reader joined looks as if it lacked something.)
fn is_whole(places: &[u64], before: u64, more: bool) -> bool {
    let begins = places.first().is_some_and(|first| first.checked_add(1) == Some(before));
    let goes_on = places
        .windows(2)
        .all(|pair| matches!(pair, [later, former] if *later == former + 1));
    begins && goes_on && (more || places.last() == Some(&1))
}

async fn member(caller: &Caller, conversation: u64) -> Result<Row, Error> {
    sql::query_one(
        "SELECT x.joined_seq FROM members x WHERE x.conversation_id = ? AND x.user_id = ?",
        params![conversation, caller.user],
    )
    .await?
    .ok_or_else(|| Error::not_found("no such conversation"))
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn a_page_that_may_lack_something_is_not_whole() {
        assert!(is_whole(&[9, 8, 7], 10, true));
        assert!(is_whole(&[2, 1], 3, false));
        for (places, before, more) in [
            (&[8, 7][..], 10, true),
            (&[9, 7], 10, true),
            (&[9, 8], 10, false),
            (&[], 10, false),
            (&[u64::MAX], u64::MAX, true),
        ] {
            assert!(!is_whole(places, before, more), "{places:?} before {before}");
        }
    }
}
