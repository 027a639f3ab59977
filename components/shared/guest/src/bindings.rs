//! Bindings generated from `wit/`. The capability modules of this crate wrap what is imported; the
//! types are used as they are.
#![expect(missing_docs, reason = "generated from WIT, where the documentation is")]

wit_bindgen::generate!({
    path: ["../../../wit/host", "../../../wit/im"],
    world: "mpim:im/guest-imports",
    generate_all,
    additional_derives: [PartialEq],
});
