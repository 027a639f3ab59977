//! What stands around a call. Each policy is a state machine of its own that is told the time, or until when to wait; none
//! knows what is called, and none knows another. Their order is decided where calls are made.

mod breaker;
mod bulkhead;
mod rate;

pub use breaker::Breaker;
pub use bulkhead::{Bulkhead, Full, Permit};
pub use rate::{Rate, Rates};
