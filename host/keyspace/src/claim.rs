//! What a value says that is read through the cache: the value of the store, that the store has none, or that somebody is
//! loading it. The first byte tells which.

/// The first byte of each kind.
const VALUE: u8 = 0;
const ABSENT: u8 = 1;
const CLAIM: u8 = 2;

/// What the cache knows of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The store has this.
    Value(Vec<u8>),
    /// The store has nothing.
    Absent,
}

/// What a cached value says; none for a claim, and for what was not written by these rules.
pub fn read(cached: &[u8]) -> Option<Known> {
    match cached.split_first()? {
        (&VALUE, value) => Some(Known::Value(value.to_vec())),
        (&ABSENT, []) => Some(Known::Absent),
        _ => None,
    }
}

/// What is cached of what the store has.
pub fn write(value: Option<Vec<u8>>) -> Vec<u8> {
    match value {
        Some(value) => tagged(VALUE, &value),
        None => vec![ABSENT],
    }
}

/// The claim of a load. Unique for all time while no two origins are the same and no origin uses a ticket twice.
pub fn of(origin: &[u8; 16], ticket: u64) -> Vec<u8> {
    tagged(CLAIM, &[&origin[..], &ticket.to_be_bytes()].concat())
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(rest.len() + 1);
    tagged.push(tag);
    tagged.extend_from_slice(rest);
    tagged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_claim_says_nothing() {
        assert_eq!(read(&write(Some(b"a".to_vec()))), Some(Known::Value(b"a".to_vec())));
        assert_eq!(read(&write(Some(Vec::new()))), Some(Known::Value(Vec::new())));
        assert_eq!(read(&write(None)), Some(Known::Absent));
        for nothing in [&of(&[7; 16], 3)[..], b"", b"\x01x", b"text"] {
            assert_eq!(read(nothing), None);
        }
        assert_ne!(of(&[7; 16], 3), of(&[7; 16], 4));
        assert_ne!(of(&[7; 16], 3), of(&[8; 16], 3));
    }
}
