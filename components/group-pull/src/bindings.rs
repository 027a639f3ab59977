//! Bindings of the world of this component; imports and shared types are those of the guest crate.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "generated exports"))]

wit_bindgen::generate!({
    path: ["../../wit/host", "../../wit/im"],
    world: "mpim:im/group-pull-function",
    with: {
        "mpim:host/types@0.1.0": guest::bindings::mpim::host::types,
        "mpim:host/gateway@0.1.0": guest::bindings::mpim::host::gateway,
        "mpim:host/sql@0.1.0": guest::bindings::mpim::host::sql,
        "mpim:host/cache@0.1.0": guest::bindings::mpim::host::cache,
        "mpim:host/breaker@0.1.0": guest::bindings::mpim::host::breaker,
        "mpim:host/config@0.1.0": guest::bindings::mpim::host::config,
        "mpim:host/telemetry@0.1.0": guest::bindings::mpim::host::telemetry,
        "mpim:im/types@0.1.0": guest::bindings::mpim::im::types,
    },
});

#[cfg(target_arch = "wasm32")]
use crate::Component;
#[cfg(target_arch = "wasm32")]
export!(Component with_types_in self);
