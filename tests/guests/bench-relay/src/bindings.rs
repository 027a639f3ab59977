//! Bindings of the world of this component.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "generated exports"))]

wit_bindgen::generate!({
    path: ["../../../wit/host", "../bench-probe/wit", "wit"],
    world: "test:bench-relay/relay-function",
    generate_all,
});

#[cfg(target_arch = "wasm32")]
use crate::Component;
#[cfg(target_arch = "wasm32")]
export!(Component with_types_in self);
