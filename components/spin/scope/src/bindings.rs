//! Bindings generated from `wit/`, and between the types of what is imported and of what is exported.
#![expect(unsafe_code, reason = "generated")]

wit_bindgen::generate!({
    path: ["../../../wit/host", "../../../wit/im", "../../../wit/spin"],
    world: "mpim:spin/scope",
    generate_all,
});

use crate::scope::Scope;
export!(Scope with_types_in self);
