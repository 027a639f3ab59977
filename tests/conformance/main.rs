//! What every twin of a backend promises, told once and run on each of them, on real servers.

#[path = "../servers/mod.rs"]
mod servers;
mod sql;
