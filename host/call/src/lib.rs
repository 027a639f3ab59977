//! What travels with a call: who makes it, until when it must be done, how deep it is, and why it may fail.
//!
//! A leaf: it knows neither how a call is made nor what is called. The same things travel to functions of this process,
//! over HTTP to those of another, and with what is put into queues.

mod caller;
mod context;
mod fault;
mod trace;

pub use caller::{Caller, Connection, Identity, User};
pub use context::{Cohort, Context, Malformed, Mode, Travelled};
pub use fault::Fault;
pub use trace::Trace;
