//! Stories of mpim, told with a real node, real sockets and real files.
#![expect(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what must hold by failing where it does not"
)]

mod architecture;
mod chat;
mod connection;
mod crash;
mod edges;
mod groups;
mod harness;
mod hostile;
mod login;
mod social;
mod replay;
