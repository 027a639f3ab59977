//! Taking a message back: the content goes, and every inbox that it went to says so.

use guest::sql::{self, Batch, Error as SqlError};
use guest::{Caller, Error, Message, config, now_ms, params};
use message::{COLUMNS, record};

use crate::bounds::{ROUNDS, contended, fan_out_threshold};
use crate::inbox::{self, Kind};
use crate::push;
use crate::unsequenced::rows;

/// For how long a message may be taken back, unless `recall-window-ms` says otherwise.
const WINDOW_MS: u64 = 120_000;

/// Takes a message back. What is already taken back stays so, and the call succeeds.
pub(crate) async fn recall(caller: &Caller, id: u64) -> Result<(), Error> {
    let now = now_ms();
    let oldest = now.saturating_sub(config::value_or("recall-window-ms", WINDOW_MS));
    for _ in 0..ROUNDS {
        let message = own(caller, id).await?;
        if message.recalled_at.is_some() {
            // Whoever took it back may have died before the cache heard of it.
            record::recalled_after(&Ok::<_, SqlError>(()), &message).await;
            return Ok(());
        }
        if message.created_at <= oldest {
            return Err(Error::expired("the time to take the message back has passed"));
        }
        let receivers = receivers(&message).await?;
        let outcome = batch(&message, &receivers, oldest, now).run().await;
        record::recalled_after(&outcome, &message).await;
        match outcome {
            Ok(done) => {
                let heads = if receivers.is_empty() {
                    &[]
                } else {
                    rows(&done, done.len().saturating_sub(1))
                };
                push::recalled(caller, &message, inbox::cursors(heads)?, now).await;
                return Ok(());
            }
            // Another device was faster: the next round sees it.
            Err(SqlError::Unmet(MESSAGE)) => {}
            Err(SqlError::Unmet(_)) => inbox::open(&receivers).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(contended())
}

/// The message, when the caller sent it. Who merely sees it is told so, who does not see it is not.
async fn own(caller: &Caller, id: u64) -> Result<Message, Error> {
    let found = sql::query_one(
        format!(
            "SELECT {COLUMNS}, (SELECT COUNT(*) FROM members x WHERE x.conversation_id = m.conversation_id \
             AND x.user_id = ?) FROM messages m WHERE m.id = ?"
        ),
        params![caller.user, id],
    )
    .await?;
    let row = found.ok_or_else(unknown)?;
    let message = message::read(&row, 0)?;
    if message.sender == caller.user {
        return Ok(message);
    }
    if row.at(message::WIDTH)? {
        Err(Error::forbidden("only its sender takes a message back"))
    } else {
        Err(unknown())
    }
}

fn unknown() -> Error {
    Error::not_found("no such message")
}

/// The users whose inboxes are told: the other user, or the other members of a group below the threshold.
///
/// They are those of now. Who joined since has never seen the message; who left is no longer told.
async fn receivers(message: &Message) -> Result<Vec<u64>, Error> {
    if let Some(to) = message.to {
        return Ok(vec![to]);
    }
    let members = sql::query(
        "SELECT m.user_id FROM chat_groups g JOIN members m ON m.conversation_id = g.id \
         WHERE g.id = ? AND g.member_count < ? AND m.user_id <> ? ORDER BY m.user_id",
        params![message.conversation, fan_out_threshold(), message.sender],
    )
    .await?;
    members.iter().map(|row| row.at(0)).collect()
}

/// The statement that is unmet when the message was taken back already.
const MESSAGE: u32 = 0;

fn batch(message: &Message, receivers: &[u64], oldest: u64, now: u64) -> Batch {
    let batch = Batch::new().need(
        "UPDATE messages SET content = '', recalled_at = ?, retry_at = NULL \
         WHERE id = ? AND sender_id = ? AND recalled_at IS NULL AND created_at > ?",
        params![now, message.id, message.sender, oldest],
    );
    if receivers.is_empty() {
        return batch;
    }
    let batch = inbox::append(inbox::guard(batch, receivers), receivers, Kind::Recall, message.id);
    inbox::select_heads(batch, receivers)
}
