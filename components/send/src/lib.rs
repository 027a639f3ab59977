//! Sending, and what becomes of a message.
//!
//! It owns the promise that an accepted message is kept: each send is one transaction that gives the
//! message its seq in the conversation and its seqs in inboxes, and everything that follows (the
//! push, the receipts) is a hint that may be lost. It refuses to know sockets, queues and leases: where
//! a user is connected is `route`'s to say, and `notify`'s to reach.

mod ack;
mod batch;
#[expect(missing_docs, reason = "generated from WIT, where the documentation is")]
mod bindings;
mod bounds;
mod delivery;
mod direct;
mod draft;
mod group;
mod inbox;
mod push;
mod read;
mod recall;
mod receipt;
mod retry;
mod unsequenced;

use bindings::exports::mpim::im as exports;
pub use bindings::exports::mpim::im::{
    delivery::AckCall, delivery::Guest as Delivery, delivery::SendMessageCall, send::Draft as Wanted,
    send::Guest as Send,
};
use bounds::contended;
use draft::{Draft, Target};
use guest::{Caller, Error, Priority, Qos, Receipt, rate_limit};

/// The component: see `wit/im/send.wit` for what each method promises.
pub struct Component;

impl exports::send::Guest for Component {
    async fn send_message(
        caller: Caller,
        to: u64,
        client_id: String,
        content: String,
        content_type: Option<String>,
        priority: Option<Priority>,
        qos: Option<Qos>,
    ) -> Result<Receipt, Error> {
        rate_limit::acquire("send", &caller.user.to_string(), 1)?;
        let draft = Draft::new(Target::User(to), client_id, content, content_type, priority, qos)?;
        direct::check(&caller, to)?;
        let mut answers = direct::send(&caller, to, std::slice::from_ref(&draft)).await;
        answers.pop().unwrap_or_else(|| Err(contended()))
    }

    async fn send_messages(caller: Caller, drafts: Vec<Wanted>) -> Result<Vec<Result<Receipt, Error>>, Error> {
        let of_caller = |wanted| batch::call(caller.clone(), wanted);
        batch::send(drafts.into_iter().map(of_caller).collect()).await
    }

    async fn send_group_message(
        caller: Caller,
        group: u64,
        client_id: String,
        content: String,
        content_type: Option<String>,
        priority: Option<Priority>,
        qos: Option<Qos>,
    ) -> Result<Receipt, Error> {
        rate_limit::acquire("send", &caller.user.to_string(), 1)?;
        let draft = Draft::new(Target::Group(group), client_id, content, content_type, priority, qos)?;
        group::send(&caller, group, &draft).await
    }

    async fn ack(caller: Caller, messages: Vec<u64>, cursor: Option<u64>) -> Result<u32, Error> {
        ack::ack(&caller, messages, cursor).await
    }

    async fn mark_read(caller: Caller, conversation: u64, up_to: u64) -> Result<u32, Error> {
        read::mark(&caller, conversation, up_to).await
    }

    async fn recall(caller: Caller, message: u64) -> Result<(), Error> {
        recall::recall(&caller, message).await
    }

    async fn status(caller: Caller, messages: Vec<u64>) -> Result<Vec<Receipt>, Error> {
        receipt::status(&caller, messages).await
    }
}

impl exports::delivery::Guest for Component {
    async fn batch_send_message(calls: Vec<SendMessageCall>) -> Result<Vec<Result<Receipt, Error>>, Error> {
        batch::send(calls).await
    }

    async fn batch_ack(calls: Vec<AckCall>) -> Result<Vec<Result<u32, Error>>, Error> {
        batch::ack::ack(calls).await
    }

    async fn mark_sent(messages: Vec<u64>) -> Result<(), Error> {
        delivery::mark_sent(messages).await
    }

    async fn retry_pending() -> Result<u32, Error> {
        retry::pending().await
    }
}
