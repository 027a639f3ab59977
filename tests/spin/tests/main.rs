//! What a component meets on the stand-in: the guest `spin-probe` does what it is told and says what it got. Where
//! Spin's own behaviour is surprising, a test says so by its name.
#![cfg(test)]

mod instances;
mod mysql;
mod redis;
mod stand;
mod start_up;
mod variables;
