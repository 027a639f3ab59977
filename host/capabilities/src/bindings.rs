//! Generated from `wit/host`.
#![allow(
    missing_docs,
    clippy::allow_attributes,
    reason = "generated from WIT, where the documentation is"
)]

wasmtime::component::bindgen!({
    path: "../../wit/host",
    world: "capabilities",
    imports: { "mpim:host/ids": trappable },
});
