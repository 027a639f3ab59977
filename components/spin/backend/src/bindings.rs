//! Bindings generated from `wit/`, and the JSON of the types of notifications.
#![expect(unsafe_code, reason = "generated")]

wit_bindgen::generate!({
    path: ["../../../wit/host", "../../../wit/im", "../../../wit/spin"],
    world: "mpim:spin/backend",
    generate_all,
});

mod json {
    include!(concat!(env!("OUT_DIR"), "/json.rs"));
}

use crate::Backend;
export!(Backend with_types_in self);
