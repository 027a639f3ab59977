//! A cache: every entry may vanish at any time, and ends with its time to live.
//!
//! - A time to live of 0 is `Invalid`; one of more than a hundred years is cut to that. An absent key and one whose time
//!   is over are the same.
//! - A key holds bytes or a list. `set` and `delete` take whatever there is; `exists` is true of both. Where one kind is
//!   needed and the other is found, that is [`Refusal::OtherKind`], and nothing changes. `get_many` and `current` alone
//!   give none for a list: one key of many must not fail the others.
//! - `delete` of an absent key is no error.
//! - `increment` and `decrement` count an absent key as 0. The time to live is set by the first add and stays. A counter
//!   is bytes, its number as decimal text: it can be read like any other value, and a sum that does not fit 64 bits and
//!   bytes that are no number are refused, and change nothing.
//! - `push_left` and `push_right` begin a list where there is none, push all of their values or none, and give the new
//!   length. The time to live is set by the push that began the list and stays. A list has a greatest length.
//! - `range` gives what lies between two inclusive indexes; negative ones count from the end, as Redis has it.
//! - `claim`, `exchange`, `increment` and the pushes happen at once for all callers of a key: nothing comes between what
//!   they read and what they write.
//! - `get`, `get_many`, `exists` and `range` may be answered by a replica that is a little behind; `current` never is.

use std::ops::Range;

use crate::fault::Fault;

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

/// To which end of a list values are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Before the first.
    Left,
    /// Behind the last.
    Right,
}

/// How much one key may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one key with its value.
    pub entry_bytes_max: usize,
    /// Values of one list.
    pub list_length_max: usize,
    /// Bytes of one value of a list.
    pub list_value_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            entry_bytes_max: 1024 * 1024,
            list_length_max: 1024,
            list_value_bytes_max: 8 * 1024,
        }
    }
}

impl Bounds {
    /// Whether a key may have a value of so many bytes.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`].
    pub fn fits(&self, key: &str, bytes: usize) -> Result<(), Fault> {
        if key.len().saturating_add(bytes) > self.entry_bytes_max {
            return Err(Refusal::TooLarge(self.entry_bytes_max).into());
        }
        Ok(())
    }

    /// Whether values may be pushed to the list of a key. Its length is another matter: see [`Self::fits_list`].
    ///
    /// # Errors
    /// [`Refusal::NothingToPush`], [`Refusal::TooLarge`] for the key, [`Refusal::ValueTooLarge`].
    pub fn fits_push(&self, key: &str, values: &[Vec<u8>]) -> Result<(), Fault> {
        self.fits(key, 0)?;
        if values.is_empty() {
            return Err(Refusal::NothingToPush.into());
        }
        if values.iter().any(|value| value.len() > self.list_value_bytes_max) {
            return Err(Refusal::ValueTooLarge(self.list_value_bytes_max).into());
        }
        Ok(())
    }

    /// Whether a list may be so long.
    ///
    /// # Errors
    /// [`Refusal::ListFull`], which is the only refusal that a later repeat may not meet.
    pub fn fits_list(&self, length: usize) -> Result<(), Fault> {
        if length > self.list_length_max {
            return Err(Refusal::ListFull(self.list_length_max).into());
        }
        Ok(())
    }
}

/// Why a cache does not do what it is asked: the same words from every backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Bytes were found where a list is needed, or a list where bytes are.
    #[error("the key holds another kind of value")]
    OtherKind,
    /// Something is to be added to bytes that are no number.
    #[error("the value of this key is no counter")]
    NoCounter,
    /// The sum of a counter has no 64 bits.
    #[error("the counter would overflow")]
    Overflow,
    /// A key with its value is larger than this.
    #[error("a key with its value has at most {0} bytes")]
    TooLarge(usize),
    /// A push without values.
    #[error("a push needs a value")]
    NothingToPush,
    /// A value of a list is larger than this.
    #[error("a value of a list has at most {0} bytes")]
    ValueTooLarge(usize),
    /// A list would be longer than this.
    #[error("a list has at most {0} values")]
    ListFull(usize),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ListFull(_) => Self::Overloaded(refusal.to_string()),
            _ => Self::Invalid(refusal.to_string()),
        }
    }
}

/// What a counter is to be incremented by that is to be decremented by this.
///
/// # Errors
/// [`Refusal::Overflow`] for the least number, which has no negative.
pub fn negative(by: i64) -> Result<i64, Fault> {
    Ok(by.checked_neg().ok_or(Refusal::Overflow)?)
}

/// Which values of a list of this length lie from `start` to `stop`, both included and counted from the end where they are
/// negative.
pub fn span(start: i64, stop: i64, length: usize) -> Range<usize> {
    let from_front = |index: i64| match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let begin = from_front(start).unwrap_or(0);
    let end = from_front(stop).map_or(0, |stop| stop.saturating_add(1).min(length));
    begin.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_that_of_redis() {
        for (start, stop, expected) in [
            (0, -1, 0..5),
            (0, 0, 0..1),
            (-1, -1, 4..5),
            (-3, 3, 2..4),
            (1, 100, 1..5),
            (-100, 1, 0..2),
            (i64::MIN, i64::MAX, 0..5),
        ] {
            assert_eq!(span(start, stop, 5), expected, "{start}..={stop}");
        }
        for (start, stop) in [(3, 1), (5, 9), (0, -6), (-1, 0), (i64::MAX, i64::MIN)] {
            assert!(span(start, stop, 5).is_empty(), "{start}..={stop}");
        }
        assert!(span(0, -1, 0).is_empty() && span(-1, 0, 0).is_empty());
    }

    #[test]
    fn a_full_list_may_be_tried_again_and_nothing_else() {
        assert!(Fault::from(Refusal::ListFull(3)).is_retryable());
        for refusal in [
            Refusal::OtherKind,
            Refusal::NoCounter,
            Refusal::Overflow,
            Refusal::TooLarge(1),
            Refusal::NothingToPush,
            Refusal::ValueTooLarge(1),
        ] {
            assert!(!Fault::from(refusal).is_retryable(), "{refusal}");
        }
    }
}
