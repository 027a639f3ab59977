//! A client of mpim: what chat, replay, the benchmarks and the tests are made of, and what others may use.
//!
//! It owns the frames, the parameters and records that it has a use for, one WebSocket and one request by HTTP, the rule
//! by which a device shows each message exactly once and in order, and how a session is opened and resumed. It refuses to
//! know the crates of the host, what an application does with a message, and where or how anything is shown.
//!
//! A connection is driven by whoever owns it; there is no task behind it. See [`socket::Client`], and [`cursor::Inbox`]
//! for what survives a lost connection.

pub mod accounts;
pub mod address;
pub mod cursor;
pub mod error;
pub mod frames;
pub mod http;
pub mod params;
pub mod records;
pub mod socket;
pub mod text;
