//! Bearer tokens: 256 random bits as text. The service keeps only a hash of the text, so that
//! whoever reads the store can open nothing with it; one without salt is enough for a secret that
//! nobody can guess.

use guest::Error;
use sha2::{Digest, Sha256};

const TOKEN_BYTES: usize = 32;

/// A new token: 64 hexadecimal digits.
pub(crate) fn make() -> Result<String, Error> {
    let mut secret = [0; TOKEN_BYTES];
    guest::fill_random(&mut secret)?;
    Ok(hexadecimal(&secret))
}

/// What the service keeps of a token: its SHA-256, in hexadecimal.
pub(crate) fn hash(token: &str) -> String {
    hexadecimal(&Sha256::digest(token))
}

/// Whether a text has the form of a token at all.
pub(crate) fn is_well_formed(text: &str) -> bool {
    text.len() == TOKEN_BYTES * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use native::World;

    use super::*;

    #[test]
    fn tokens_are_well_formed_and_never_the_same() {
        let _world = World::with_users(0);
        let (one, other) = (make().unwrap(), make().unwrap());
        assert!(is_well_formed(&one) && is_well_formed(&other));
        assert_ne!(one, other);
    }

    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(
            hash("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn other_texts_are_not_well_formed() {
        for text in [
            String::new(),
            "a".repeat(63),
            "a".repeat(65),
            "g".repeat(64),
            "é".repeat(32),
        ] {
            assert!(!is_well_formed(&text), "{text}");
        }
    }
}
