//! One contract, many backends: what the WIT interfaces promise, asked of every backend that claims to keep it.
//!
//! A case is a function over the type that all backends have in common; a macro makes one test of each case and each
//! backend. Servers are real and private. A server that is not hurt serves all tests, each under keys, or in a
//! database, of its own.
#![cfg(test)]
#![expect(unreachable_pub, reason = "each test shares what it has with the others")]

mod cache;
#[path = "../harness/dice.rs"]
mod dice;
mod metadata;
mod queue;
mod queue_in_redis;
mod queue_ways;
mod read_through;
mod redis_only;
mod shared;
mod sql;
