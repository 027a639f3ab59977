//! Stories of mpim, told with a real node, real sockets and real files.
#![expect(
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what must hold by failing where it does not"
)]

mod architecture;
mod bad_input;
mod bot;
mod chat;
mod cluster;
mod connection;
mod crash;
mod disk;
mod edges;
mod functions;
mod groups;
mod harness;
mod hostile;
mod lists;
mod login;
mod mysql;
mod on_spin;
mod remote;
mod replay;
mod social;
mod start_up;
mod storage;
