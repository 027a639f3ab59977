//! What an account and a session may be, as pure functions. Knows nothing of SQL, hashes and clocks.

use std::collections::HashSet;
use std::str::FromStr;

use guest::{Connection, Error};

/// The class of a device that names none.
pub(crate) const DEFAULT_DEVICE_CLASS: &str = "default";

const MOST_NAME_CHARACTERS: usize = 64;
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=128;
const DEVICE_BYTES: std::ops::RangeInclusive<usize> = 1..=64;

/// The latest time that a store can keep: a signed integer.
const LATEST_MS: u64 = i64::MAX.unsigned_abs();

/// What a login does to the live sessions of the same device class on other devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Ends them.
    Kick,
    /// Is refused while there is one.
    Refuse,
    /// Leaves them.
    Allow,
}

impl FromStr for Policy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "kick" => Ok(Self::Kick),
            "refuse" => Ok(Self::Refuse),
            "allow" => Ok(Self::Allow),
            _ => Err(()),
        }
    }
}

/// What a name is found by: names are unique without regard to case.
pub(crate) fn name_key(name: &str) -> Result<String, Error> {
    if name.is_empty() || name.chars().count() > MOST_NAME_CHARACTERS {
        return Err(Error::invalid(format!(
            "a name has 1 to {MOST_NAME_CHARACTERS} characters"
        )));
    }
    if !name.chars().all(is_name_character) {
        return Err(Error::invalid(
            "a name has letters, digits, '.', '_', '-' and inner spaces only",
        ));
    }
    if name.starts_with(' ') || name.ends_with(' ') {
        return Err(Error::invalid("a name neither begins nor ends with a space"));
    }
    Ok(name.to_lowercase())
}

fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '_' | '-' | ' ')
}

/// Refuses a password that no account may have.
pub(crate) fn check_password(password: &str) -> Result<(), Error> {
    if PASSWORD_BYTES.contains(&password.len()) {
        return Ok(());
    }
    let (least, most) = (PASSWORD_BYTES.start(), PASSWORD_BYTES.end());
    Err(Error::invalid(format!("a password has {least} to {most} bytes")))
}

/// Says that the name and the password do not belong together, whichever of the two is wrong.
pub(crate) fn denied() -> Error {
    Error::unauthenticated("the name and the password do not belong together")
}

/// Refuses a device, or a device class, that no session may have.
pub(crate) fn check_device(what: &str, text: &str) -> Result<(), Error> {
    if DEVICE_BYTES.contains(&text.len()) {
        return Ok(());
    }
    let (least, most) = (DEVICE_BYTES.start(), DEVICE_BYTES.end());
    Err(Error::invalid(format!("a {what} has {least} to {most} bytes")))
}

/// When a session that opens now ends by itself.
pub(crate) fn expires_at(now_ms: u64, ttl_ms: u64) -> u64 {
    now_ms.saturating_add(ttl_ms).min(LATEST_MS)
}

/// The sessions of connections, each once.
pub(crate) fn sessions_of(connections: &[Connection]) -> Vec<u64> {
    let mut sessions: Vec<u64> = connections.iter().map(|connection| connection.session).collect();
    sessions.sort_unstable();
    sessions.dedup();
    sessions
}

/// The ids of those connections whose session is not live.
pub(crate) fn ended_connections(connections: &[Connection], live_sessions: &HashSet<u64>) -> Vec<u64> {
    let ended = connections
        .iter()
        .filter(|connection| !live_sessions.contains(&connection.session));
    ended.map(|connection| connection.id).collect()
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn names_of_letters_digits_and_marks_are_taken() {
        for (name, key) in [
            ("a", "a"),
            ("Ana.Maria_2-x", "ana.maria_2-x"),
            ("Ana  Maria", "ana  maria"),
            ("ÁÉÑ", "áéñ"),
            ("王小明", "王小明"),
            ("İz", "i\u{307}z"),
        ] {
            assert_eq!(name_key(name).unwrap(), key);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            " ",
            " a",
            "a ",
            "a\tb",
            "a\nb",
            "a/b",
            "a@b",
            "a\0",
            "a'--",
            "🦀",
            "a\u{202e}b",
            "a\u{a0}b",
        ] {
            assert!(name_key(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_length_of_a_name_is_counted_in_characters() {
        assert!(name_key(&"é".repeat(64)).is_ok());
        assert!(name_key(&"a".repeat(65)).is_err());
    }

    #[test]
    fn the_key_of_the_longest_name_fits_its_column() {
        assert!(name_key(&"İ".repeat(64)).unwrap().chars().count() <= 128);
    }

    #[test]
    fn the_length_of_a_password_is_counted_in_bytes() {
        assert!(check_password("1234567").is_err());
        assert!(check_password("12345678").is_ok());
        assert!(check_password("éééé").is_ok());
        assert!(check_password(&"a".repeat(128)).is_ok());
        assert!(check_password(&"é".repeat(65)).is_err());
    }

    #[test]
    fn the_length_of_a_device_is_counted_in_bytes() {
        assert!(check_device("device", "").is_err());
        assert!(check_device("device", "|\0%").is_ok());
        assert!(check_device("device", &"a".repeat(64)).is_ok());
        assert!(check_device("device", &"é".repeat(33)).is_err());
    }

    #[test]
    fn only_the_three_policies_are_read() {
        assert_eq!("kick".parse(), Ok(Policy::Kick));
        assert_eq!("refuse".parse(), Ok(Policy::Refuse));
        assert_eq!("allow".parse(), Ok(Policy::Allow));
        for text in ["", "Kick", "kick ", "deny"] {
            assert_eq!(text.parse::<Policy>(), Err(()));
        }
    }

    #[test]
    fn the_longest_lifetime_stays_within_what_a_store_keeps() {
        assert_eq!(expires_at(5, 10), 15);
        assert_eq!(expires_at(5, u64::MAX), LATEST_MS);
    }

    #[test]
    fn connections_of_sessions_that_are_not_live_are_ended() {
        let connection = |id, session| Connection {
            id,
            node: "n".to_owned(),
            user: 1,
            session,
            device: "d".to_owned(),
            device_class: "c".to_owned(),
        };
        let connections = [
            connection(1, 10),
            connection(2, 20),
            connection(3, 20),
            connection(4, 10),
        ];
        assert_eq!(sessions_of(&connections), [10, 20]);
        assert_eq!(ended_connections(&connections, &HashSet::from([10])), [2, 3]);
        assert!(ended_connections(&connections, &HashSet::from([10, 20])).is_empty());
    }
}
