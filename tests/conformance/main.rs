//! What every twin of a backend promises, told once and run on each of them, on real servers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what must hold by failing where it does not"
)]

#[path = "../servers/mod.rs"]
mod servers;
mod sql;
