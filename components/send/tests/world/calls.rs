//! The calls that many tests make.

use guest::{Caller, ErrorCode, MessageState, Priority, Qos, Receipt};
use pull_offline::PullOffline;
use send::{Component, Send};

use super::{caller, run};

pub fn send_as(from: &Caller, to: u64, id: &str, content: &str, qos: Qos) -> Result<Receipt, ErrorCode> {
    let (id, content) = (id.to_owned(), content.to_owned());
    run(Component::send_message(
        from.clone(),
        to,
        id,
        content,
        None,
        Some(Priority::High),
        Some(qos),
    ))
    .map_err(|error| error.code)
}

pub fn send(from: u64, to: u64, id: &str) -> Result<Receipt, ErrorCode> {
    send_as(&caller(from, "phone"), to, id, "hello", Qos::AtLeastOnce)
}

pub fn ack(user: u64, device: &str, messages: &[u64], cursor: Option<u64>) -> Result<u32, ErrorCode> {
    run(Component::ack(caller(user, device), messages.to_vec(), cursor)).map_err(|error| error.code)
}

pub fn state(from: u64, message: u64) -> MessageState {
    run(Component::status(caller(from, "phone"), vec![message])).unwrap()[0].state
}

pub fn pull(user: u64, device: &str, since: Option<u64>) -> pull_offline::Page {
    run(pull_offline::Component::pull(caller(user, device), since, None)).unwrap()
}

pub fn cursors(page: &pull_offline::Page) -> Vec<u64> {
    page.entries.iter().map(|entry| entry.cursor).collect()
}
