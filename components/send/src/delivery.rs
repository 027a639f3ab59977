//! What the host reports of pushes.

use guest::sql::{self, Batch};
use guest::{Error, MessageState, Qos, now_ms, params};
use message::{Code, before};

use crate::bounds::CHUNK;
use crate::inbox::values;

/// A socket took the messages. One of two users that wants an acknowledgement is still pushed again
/// until it comes; a group's is not, since its receipts are positions, nor one that goes at most once.
pub(crate) async fn mark_sent(messages: Vec<u64>) -> Result<(), Error> {
    let now = now_ms();
    let mut batch = Batch::new();
    for chunk in messages.chunks(CHUNK) {
        let mut params = params![MessageState::Sent.code(), now, Qos::AtMostOnce.code()];
        params.extend(values(chunk));
        batch = batch.step(
            format!(
                "UPDATE messages SET state = ?, sent_at = ?, \
                 retry_at = CASE WHEN recipient_id IS NULL OR qos = ? THEN NULL ELSE retry_at END \
                 WHERE id IN ({}) AND {}",
                sql::placeholders(chunk.len()),
                before(MessageState::Sent)
            ),
            params,
        );
    }
    if !messages.is_empty() {
        batch.run().await?;
    }
    Ok(())
}
