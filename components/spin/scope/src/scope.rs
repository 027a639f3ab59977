//! What this component exports has one type.

/// What this component exports.
pub(crate) struct Scope;
