//! A cache: every entry may vanish at any time, and ends with its time to live.
//!
//! - A time to live of 0 is `Invalid`; one of more than a hundred years is cut to that. An absent key and one whose time
//!   is over are the same.
//! - `set` replaces whatever there is. `delete` of an absent key is no error.
//! - `increment` counts an absent key as 0. The time to live is set by the first add and stays. A counter is
//!   decimal text, so that it can be read like any other value; a sum that does not fit 64 bits and a value that is no
//!   number are `Invalid`, and change nothing.
//! - `claim`, `exchange` and `increment` happen at once for all callers of a key: nothing comes between what they read
//!   and what they write.
//! - `get` and `get_many` may be answered by a replica that is a little behind; `current` never is.
//! - A key with its value has a greatest size, a setting; one byte more is `Invalid`.

/// A change of a cached value that is made only while the value is the one expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The key.
    pub key: String,
    /// The value that the key must have.
    pub expected: Vec<u8>,
    /// What replaces it; none deletes the key.
    pub value: Option<Vec<u8>>,
    /// How long the new value lives, in milliseconds; 0 is invalid.
    pub ttl_ms: u64,
}

/// The ticket of a load whose result is not kept.
pub const NOT_KEPT: u64 = 0;

/// What a lookup through the cache found for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The cached value.
    Value(Vec<u8>),
    /// It is known that the store has nothing.
    Absent,
    /// The caller is to load it, and to fill it in with this ticket.
    Load(u64),
}

/// What was loaded for a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The ticket of the lookup.
    pub ticket: u64,
    /// What the store has; none when it has nothing.
    pub value: Option<Vec<u8>>,
    /// How long it may be kept, in milliseconds; 0 keeps nothing, and lets the next one load.
    pub ttl_ms: u64,
}
