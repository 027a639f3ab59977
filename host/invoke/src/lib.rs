//! Calls of functions: every call of every method goes through here, from a client's frame, a hook of the gateway, a
//! timer or another component, and nothing goes round it.
//!
//! ```text
//! Invoke ── Routes ──> Route: signature, binding, endpoint, batch
//!              │
//!            stack: depth → breaker → bulkhead → deadline → endpoint (local sandboxes, or remote over HTTP) → measures
//! ```
//!
//! It knows neither sockets nor any function by name. Callers say what they want as JSON or as the host's own arguments,
//! and never see where a function runs.

mod answer;
mod arguments;
mod batch;
mod endpoint;
mod error;
mod exports;
mod gather;
mod host_arguments;
mod invoke;
mod link;
mod load;
mod local;
mod notify;
mod parts;
mod records;
mod remote;
mod route;
mod signature;
mod stack;
mod table;
mod target;

pub use answer::Answer;
pub use arguments::Input;
pub use error::{Unfit, refused};
pub use host_arguments::{Argument, HostArguments};
pub use invoke::Invoke;
pub use load::{Remotes, Sources};
pub use local::Local;
pub use records::{caller_of, context_of};
pub use remote::{Remote, RemoteError};
pub use route::Route;
pub use runtime::LoadError;
pub use signature::Signature;
pub use table::{Function, Table};
pub use target::Target;

#[cfg(test)]
mod tests;
