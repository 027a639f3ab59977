//! A row of `messages` as the message of the contract.

use guest::sql::{Read, Row};
use guest::telemetry::{Level, log};
use guest::{Error, Message};

use crate::codes::Code;

/// What to select so that [`read`] understands it. The table goes by the name `m`.
pub const COLUMNS: &str = "m.id, m.conversation_id, m.seq, m.sender_id, m.recipient_id, m.client_id, m.content, \
     m.content_type, m.priority, m.qos, m.state, m.created_at, m.sent_at, m.delivered_at, m.read_at, m.recalled_at";

/// Which of [`COLUMNS`] is the seq in the conversation.
pub const SEQ: usize = 2;

/// How many columns [`COLUMNS`] has: the first column behind them.
pub const WIDTH: usize = 16;

/// The message whose [`COLUMNS`] begin at a column of the row.
pub fn read(row: &Row, first: usize) -> Result<Message, Error> {
    let mut columns = Columns { row, next: first };
    let id = columns.next()?;
    let conversation = columns.next()?;
    let seq = columns.next()?;
    let sender = columns.next()?;
    let to: Option<u64> = columns.next()?;
    Ok(Message {
        id,
        conversation,
        seq,
        sender,
        to,
        // A conversation of a group has the id of the group, and no single receiver.
        group: if to.is_none() { Some(conversation) } else { None },
        client_id: columns.next()?,
        content: columns.next()?,
        content_type: columns.next()?,
        priority: columns.word()?,
        qos: columns.word()?,
        state: columns.word()?,
        created_at: columns.next()?,
        sent_at: columns.next()?,
        delivered_at: columns.next()?,
        read_at: columns.next()?,
        recalled_at: columns.next()?,
    })
}

/// The columns of a row, one after the other.
struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl Columns<'_> {
    fn next<T: Read>(&mut self) -> Result<T, Error> {
        let value = self.row.at(self.next)?;
        self.next += 1;
        Ok(value)
    }

    fn word<T: Code>(&mut self) -> Result<T, Error> {
        let code: u8 = self.next()?;
        T::from_code(code).ok_or_else(|| {
            log(
                Level::Error,
                "a message has an unknown code",
                &[("code", code.to_string())],
            );
            Error::internal("internal error")
        })
    }
}

#[cfg(test)]
mod tests {
    use guest::sql::{self, Value};
    use guest::{ErrorCode, MessageState, Priority, Qos};
    use native::{World, run};

    use super::*;

    /// The row that a store gives of these values.
    fn row(values: Vec<Value>) -> Row {
        let _world = World::with_users(0);
        let statement = format!("SELECT {}", sql::placeholders(values.len()));
        run(sql::query_one(statement, values)).unwrap().unwrap()
    }

    fn values(recipient: Option<u64>, state: u8) -> Vec<Value> {
        let mut values = guest::params![
            7u64,
            70u64,
            3u64,
            1u64,
            recipient,
            "c-1",
            "hello",
            "text/plain",
            2u8,
            1u8
        ];
        values.extend(guest::params![
            state,
            1000u64,
            1001u64,
            None::<u64>,
            None::<u64>,
            None::<u64>
        ]);
        values
    }

    #[test]
    fn a_row_becomes_the_message_of_two_users() {
        let values = values(Some(2), 2);
        assert_eq!(values.len(), WIDTH);
        let message = read(&row(values), 0).unwrap();
        assert_eq!((message.id, message.conversation, message.seq), (7, 70, 3));
        assert_eq!((message.to, message.group), (Some(2), None));
        assert_eq!((message.priority, message.qos), (Priority::High, Qos::AtLeastOnce));
        assert_eq!((message.state, message.sent_at), (MessageState::Sent, Some(1001)));
    }

    #[test]
    fn a_row_without_a_receiver_is_a_message_of_its_group() {
        let mut values = values(None, 1);
        values.insert(0, Value::Text("another column".to_owned()));
        let message = read(&row(values), 1).unwrap();
        assert_eq!((message.to, message.group), (None, Some(70)));
    }

    #[test]
    fn an_unknown_state_is_a_fault_of_the_service() {
        let error = read(&row(values(Some(2), 9)), 0).unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
    }

    #[test]
    fn the_columns_are_as_many_as_they_say() {
        assert_eq!(COLUMNS.split(", ").count(), WIDTH);
    }
}
