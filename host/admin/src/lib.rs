//! What describes a node, and what its operator asks: the API over HTTP, and OpenAPI. It stands above everything and reads
//! snapshots.

mod functions;
mod openapi;
mod router;

pub use functions::{FunctionInfo, Functions, MethodInfo, SandboxInfo, functions};
pub use openapi::document;
pub use router::{Admin, router};
