//! Receipts: what a repeat is answered with, and where messages stand.

use std::collections::HashMap;

use guest::sql::{self, Row};
use guest::{Caller, Error, Message, MessageState, Receipt, params};
use message::Code;

use crate::bounds::{CHUNK, MOST_IDS};
use crate::draft::Draft;
use crate::inbox::values;

/// The receipt of a message that was just kept.
pub(crate) fn of(message: &Message) -> Receipt {
    Receipt {
        message: message.id,
        conversation: message.conversation,
        seq: message.seq,
        state: message.state,
        created_at: message.created_at,
    }
}

/// The first receipt, when the sender has sent this client id before, with the state of now; an error
/// when it was sent with other content; none when it was not sent.
pub(crate) async fn of_repeat(sender: u64, draft: &Draft) -> Result<Option<Receipt>, Error> {
    let row = sql::query_one(
        "SELECT m.id, m.conversation_id, m.seq, m.state, m.created_at, m.content_hash FROM messages m \
         WHERE m.sender_id = ? AND m.client_id = ?",
        params![sender, draft.client_id.as_str()],
    )
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.at::<String>(5)? != draft.hash {
        return Err(Error::client_id_reused(
            "the client id was sent before with other content",
        ));
    }
    read(&row).map(Some)
}

/// Where the caller's own messages stand, in the order asked.
pub(crate) async fn status(caller: &Caller, messages: Vec<u64>) -> Result<Vec<Receipt>, Error> {
    let messages = distinct(messages)?;
    let mut found = HashMap::new();
    for chunk in messages.chunks(CHUNK) {
        let mut params = params![caller.user];
        params.extend(values(chunk));
        let rows = sql::query(
            format!(
                "SELECT m.id, m.conversation_id, m.seq, m.state, m.created_at FROM messages m \
                 WHERE m.sender_id = ? AND m.id IN ({})",
                sql::placeholders(chunk.len())
            ),
            params,
        )
        .await?;
        for row in &rows {
            let receipt = read(row)?;
            found.insert(receipt.message, receipt);
        }
    }
    Ok(messages.iter().filter_map(|id| found.remove(id)).collect())
}

/// The ids that a request names, each once, in their order.
pub(crate) fn distinct(ids: Vec<u64>) -> Result<Vec<u64>, Error> {
    if ids.len() > MOST_IDS {
        return Err(Error::too_large(format!("more than {MOST_IDS} messages")));
    }
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    Ok(ids.into_iter().filter(|id| seen.insert(*id)).collect())
}

fn read(row: &Row) -> Result<Receipt, Error> {
    let state = MessageState::from_code(row.at(3)?).ok_or_else(|| Error::internal("internal error"))?;
    Ok(Receipt {
        message: row.at(0)?,
        conversation: row.at(1)?,
        seq: row.at(2)?,
        state,
        created_at: row.at(4)?,
    })
}

#[cfg(test)]
mod tests {
    use guest::ErrorCode;

    use super::*;

    #[test]
    fn an_id_named_twice_counts_once() {
        assert_eq!(distinct(vec![3, 1, 3, 2, 1]).unwrap(), vec![3, 1, 2]);
    }

    #[test]
    fn too_many_ids_are_refused_and_not_cut() {
        assert!(distinct(vec![1; 1000]).is_ok());
        assert_eq!(distinct(vec![1; 1001]).unwrap_err().code, ErrorCode::TooLarge);
    }
}
