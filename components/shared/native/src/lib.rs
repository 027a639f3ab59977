//! The world of the components' tests: the whole of `mpim:host` on a native target, in one process, on one thread.
//!
//! A [`World`] has an SQLite with the migrations of the project, a cache, leases, queues, rates, breakers and settings, a
//! clock that a test sets and a randomness that follows from a seed: the same seed and the same calls are the same run, to
//! the last byte. What a component tells (notifications, subscriptions, logs, counters) is written down. Any capability
//! can be taken away, any call can fail or lose its answer ([`World::take_away`], [`World::fail`]), and others can come in
//! before any call ([`World::before`]). Each call of the host that a component waits for is one step: it yields once before
//! it acts, so that a test may let other calls in, or drop the call, in between.
//!
//! It refuses to know any component: where one calls another, a test says what answers ([`World::answer_routes`]), which may
//! be the real one, run as a function of its own ([`World::function`]).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is not as a test says ends the test"
)]

mod cache;
mod call;
mod clock;
mod guard;
mod host;
mod metadata;
mod push;
mod queue;
mod random;
mod store;
mod telemetry;
mod turn;
mod world;

pub use cache::Cache;
pub use call::{Call, Fault};
pub use clock::{BEGINNING_MS, Clock};
pub use guard::Guards;
pub use metadata::Metadata;
pub use push::Push;
pub use queue::Queue;
pub use random::{Random, seed};
pub use store::{Rows, Store};
pub use telemetry::{Line, Telemetry};
pub use turn::run;
pub use world::{Within, World, caller, connection};
