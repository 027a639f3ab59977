//! What a terminal shows once and in order: what was said, and what was taken back.

/// Something that has a position in an inbox or a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Somebody said something.
    Said(Said),
    /// Somebody took a message back.
    Recalled {
        /// Who.
        by: u64,
        /// The conversation of the message.
        conversation: u64,
        /// Milliseconds since the epoch.
        at: u64,
    },
}

/// A message, as far as the terminal cares.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) id: u64,
    pub(super) conversation: u64,
    pub(super) seq: u64,
    pub(super) sender: u64,
    /// The other user, in a conversation of two.
    pub(super) peer: Option<u64>,
    pub(super) group: Option<u64>,
    pub(super) content: String,
    pub(super) recalled: bool,
    pub(super) at: u64,
    /// It was sent by this very run, whose user has seen it being typed.
    pub(super) own: bool,
    /// It is kept by the service until it is acknowledged.
    pub(super) kept: bool,
}
