//! What measures mpim: benchmarks of a server and of its parts, performances of a conversation of many (`replay`), and the
//! report of what they found.
//!
//! It owns the loads, the figures with the machine they were measured on, the targets, and the files that a load needs.
//! It drives a server as the client of it, and knows the crates of the host only to measure the parts of a node
//! (`parts`) and to fill a store that would take days to fill otherwise (`seed`). Nothing of the host knows it.

pub mod command;
pub mod failure;
pub mod replay;

mod account;
mod activity;
mod figures;
mod group;
mod http;
mod idle;
mod latencies;
mod login;
mod machine;
mod names;
mod offline;
mod pair;
mod parts;
mod plot;
mod presence;
mod print;
mod process;
mod profile;
mod quiet;
mod record;
mod report;
mod scale;
mod seed;
mod send;
mod start;
mod subject;
mod targets;
mod terms;
