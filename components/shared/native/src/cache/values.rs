//! What components set, count and push by themselves: bytes or a list under each key, until its time. It refuses what the
//! host refuses, with the bounds that a host has whose settings say nothing of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use guest::HostError;

use crate::clock::Clock;

/// Bytes of one key with its value.
const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Values of one list.
const LIST_LENGTH_MAX: usize = 1024;
/// Bytes of one value of a list.
const LIST_VALUE_BYTES_MAX: usize = 8 * 1024;

/// Values by key.
#[derive(Debug)]
pub(crate) struct Values {
    clock: Clock,
    kept: RefCell<BTreeMap<String, Kept>>,
}

/// What a key holds, until its time.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    value: Value,
    until_ms: u64,
}

impl Kept {
    /// Bytes.
    pub(crate) fn bytes(bytes: Vec<u8>, until_ms: u64) -> Self {
        Self {
            value: Value::Bytes(bytes),
            until_ms,
        }
    }
}

#[derive(Debug, Clone)]
enum Value {
    Bytes(Vec<u8>),
    List(VecDeque<Vec<u8>>),
}

/// To which end of a list values are pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ListEnd {
    Left,
    Right,
}

impl Values {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            kept: RefCell::default(),
        }
    }

    /// Replaces what a key holds, of either kind.
    pub(crate) fn replace(&self, key: String, kept: Kept) {
        self.kept.borrow_mut().insert(key, kept);
    }

    /// The bytes of a key; none also where it holds a list.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        match self.alive(key)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::List(_) => None,
        }
    }

    pub(crate) fn exists(&self, key: &str) -> bool {
        self.alive(key).is_some()
    }

    fn alive(&self, key: &str) -> Option<Kept> {
        let kept = self.kept.borrow().get(key).cloned();
        kept.filter(|kept| kept.until_ms > self.clock.now_ms())
    }

    pub(crate) fn increment(&self, key: String, by: i64, ttl_ms: u64) -> Result<i64, HostError> {
        let fresh = self.end_of(ttl_ms)?;
        fits(&key, 0)?;
        let (before, until_ms) = match self.alive(&key) {
            None => (0, fresh),
            Some(Kept { value, until_ms }) => match value {
                Value::Bytes(bytes) => (number(&bytes)?, until_ms),
                Value::List(_) => return Err(other_kind()),
            },
        };
        let sum = before.checked_add(by).ok_or_else(overflow)?;
        self.replace(key, Kept::bytes(sum.to_string().into_bytes(), until_ms));
        Ok(sum)
    }

    pub(crate) fn decrement(&self, key: String, by: i64, ttl_ms: u64) -> Result<i64, HostError> {
        self.increment(key, by.checked_neg().ok_or_else(overflow)?, ttl_ms)
    }

    /// Pushes all of the values or none, and gives the new length.
    pub(crate) fn push(&self, end: ListEnd, key: String, values: Vec<Vec<u8>>, ttl_ms: u64) -> Result<u64, HostError> {
        let fresh = self.end_of(ttl_ms)?;
        fits(&key, 0)?;
        if values.is_empty() {
            return Err(invalid("a push needs a value"));
        }
        if values.iter().any(|value| value.len() > LIST_VALUE_BYTES_MAX) {
            let most = format!("a value of a list has at most {LIST_VALUE_BYTES_MAX} bytes");
            return Err(invalid(most));
        }
        let (mut list, until_ms) = match self.alive(&key) {
            None => (VecDeque::new(), fresh),
            Some(Kept { value, until_ms }) => match value {
                Value::List(list) => (list, until_ms),
                Value::Bytes(_) => return Err(other_kind()),
            },
        };
        for value in values {
            match end {
                ListEnd::Left => list.push_front(value),
                ListEnd::Right => list.push_back(value),
            }
        }
        let length = list.len();
        if length > LIST_LENGTH_MAX {
            let most = format!("a list has at most {LIST_LENGTH_MAX} values");
            return Err(HostError::Overloaded(most));
        }
        let value = Value::List(list);
        self.replace(key, Kept { value, until_ms });
        Ok(length as u64)
    }

    /// The values from one index to another, both included; negative ones count from the end.
    pub(crate) fn range(&self, key: &str, start: i64, stop: i64) -> Result<Vec<Vec<u8>>, HostError> {
        let list = match self.alive(key).map(|kept| kept.value) {
            None => return Ok(Vec::new()),
            Some(Value::List(list)) => list,
            Some(Value::Bytes(_)) => return Err(other_kind()),
        };
        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
        let from_front = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
        let asked = from_front(start)..=from_front(stop);
        let values = (0..).zip(list).filter(|(index, _)| asked.contains(index));
        Ok(values.map(|(_, value)| value).collect())
    }

    /// Loses one of the keys, and gives its name; none when there is none.
    pub(crate) fn evict(&self, among: usize) -> Option<String> {
        let mut kept = self.kept.borrow_mut();
        let key = kept.keys().nth(among.checked_rem(kept.len())?)?.clone();
        kept.remove(&key);
        Some(key)
    }

    pub(crate) fn clear(&self) {
        self.kept.borrow_mut().clear();
    }

    /// When something ends that is set now.
    pub(crate) fn end_of(&self, ttl_ms: u64) -> Result<u64, HostError> {
        match ttl_ms {
            0 => Err(invalid("a time to live of 0")),
            ttl_ms => Ok(self.clock.after_ms(ttl_ms)),
        }
    }
}

/// Refuses a key whose value would have so many bytes, if that is too much.
pub(crate) fn fits(key: &str, bytes: usize) -> Result<(), HostError> {
    match key.len() + bytes > ENTRY_BYTES_MAX {
        true => Err(invalid(format!(
            "a key with its value has at most {ENTRY_BYTES_MAX} bytes"
        ))),
        false => Ok(()),
    }
}

/// The number of a counter, written as counters are: bytes that only look like one are none.
fn number(bytes: &[u8]) -> Result<i64, HostError> {
    let text = std::str::from_utf8(bytes).ok();
    let number = text.and_then(|text| text.parse().ok().filter(|number: &i64| number.to_string() == text));
    number.ok_or_else(|| invalid("the value of this key is no counter"))
}

fn invalid(message: impl Into<String>) -> HostError {
    HostError::Invalid(message.into())
}

fn other_kind() -> HostError {
    invalid("the key holds another kind of value")
}

fn overflow() -> HostError {
    invalid("the counter would overflow")
}
