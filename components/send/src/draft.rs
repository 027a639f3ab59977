//! What a client wants to send, checked: bounds, defaults, and the hash that tells a repeat from a reuse.
//!
//! It refuses to know the store and the receiver's state.

use guest::{Error, Priority, Qos, config};
use sha2::{Digest, Sha256};

/// The longest client id, in bytes.
const CLIENT_ID_BYTES: usize = 64;
/// The longest content type, in bytes.
const CONTENT_TYPE_BYTES: usize = 127;
/// The longest content, in bytes, unless `max-content-bytes` says otherwise.
const CONTENT_BYTES: usize = 16 * 1024;
/// What the column of the content holds on every backend: no setting goes beyond.
const COLUMN_BYTES: usize = 65_535;
const DEFAULT_CONTENT_TYPE: &str = "text/plain";

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    User(u64),
    Group(u64),
}

impl Target {
    /// The receiver of a message of two; none in a group.
    pub(crate) fn user(self) -> Option<u64> {
        match self {
            Self::User(user) => Some(user),
            Self::Group(_) => None,
        }
    }
}

/// A message as its sender wants it, within every bound.
#[derive(Debug, PartialEq)]
pub(crate) struct Draft {
    pub(crate) target: Target,
    pub(crate) client_id: String,
    pub(crate) content: String,
    pub(crate) content_type: String,
    pub(crate) priority: Priority,
    pub(crate) qos: Qos,
    /// See [`hash`].
    pub(crate) hash: String,
}

impl Draft {
    /// Checks the parts and fills in what was left out.
    pub(crate) fn new(
        target: Target,
        client_id: String,
        content: String,
        content_type: Option<String>,
        priority: Option<Priority>,
        qos: Option<Qos>,
    ) -> Result<Self, Error> {
        let content_type = content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned());
        check_client_id(&client_id)?;
        check_content(
            &content,
            config::value_or("max-content-bytes", CONTENT_BYTES).min(COLUMN_BYTES),
        )?;
        check_content_type(&content_type)?;
        Ok(Self {
            hash: hash(target, &content_type, &content),
            target,
            client_id,
            content,
            content_type,
            priority: priority.unwrap_or(Priority::Normal),
            qos: qos.unwrap_or(Qos::AtLeastOnce),
        })
    }
}

fn check_client_id(client_id: &str) -> Result<(), Error> {
    if client_id.is_empty() || client_id.len() > CLIENT_ID_BYTES {
        return Err(Error::invalid(format!("client_id needs 1 to {CLIENT_ID_BYTES} bytes")));
    }
    if client_id.chars().any(char::is_control) {
        return Err(Error::invalid("client_id has a control character"));
    }
    // MySQL compares text without the spaces at its end: "a" and "a " would be one key there and two
    // in SQLite, and the second message would pass for a repeat of the first.
    if client_id.ends_with(' ') {
        return Err(Error::invalid("client_id ends with a space"));
    }
    Ok(())
}

fn check_content(content: &str, most_bytes: usize) -> Result<(), Error> {
    if content.is_empty() {
        return Err(Error::invalid("content is empty"));
    }
    if content.len() > most_bytes {
        return Err(Error::too_large(format!("content has more than {most_bytes} bytes")));
    }
    Ok(())
}

fn check_content_type(content_type: &str) -> Result<(), Error> {
    if content_type.is_empty() || content_type.len() > CONTENT_TYPE_BYTES {
        return Err(Error::invalid(format!(
            "content_type needs 1 to {CONTENT_TYPE_BYTES} bytes"
        )));
    }
    if !content_type.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(Error::invalid("content_type is not visible ascii"));
    }
    Ok(())
}

/// SHA-256 over receiver, type and content, in hex: 64 characters. The kind of the receiver and the
/// length of the type are part of it, so that no two different drafts read as the same bytes.
fn hash(target: Target, content_type: &str, content: &str) -> String {
    let (kind, id) = match target {
        Target::User(user) => (b'u', user),
        Target::Group(group) => (b'g', group),
    };
    let length = u64::try_from(content_type.len()).unwrap_or(u64::MAX);
    let digest = Sha256::new()
        .chain_update([kind])
        .chain_update(id.to_be_bytes())
        .chain_update(length.to_be_bytes())
        .chain_update(content_type)
        .chain_update(content)
        .finalize();
    let mut hex = String::with_capacity(digest.len() * 2);
    for byte in digest {
        for half in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(half), 16));
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use guest::ErrorCode;

    use super::*;

    fn draft(client_id: &str, content: &str, content_type: Option<&str>) -> Result<Draft, ErrorCode> {
        let content_type = content_type.map(str::to_owned);
        Draft::new(
            Target::User(1),
            client_id.to_owned(),
            content.to_owned(),
            content_type,
            None,
            None,
        )
        .map_err(|error| error.code)
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let draft = draft("c", "x", None).unwrap();
        assert_eq!(draft.content_type, "text/plain");
        assert_eq!((draft.priority, draft.qos), (Priority::Normal, Qos::AtLeastOnce));
    }

    #[test]
    fn client_ids_are_bounded_and_compare_alike_on_every_backend() {
        assert!(draft(&"c".repeat(64), "x", None).is_ok());
        for wrong in [
            String::new(),
            "c".repeat(65),
            "a\nb".to_owned(),
            "a\u{7f}".to_owned(),
            "a ".to_owned(),
        ] {
            assert_eq!(draft(&wrong, "x", None), Err(ErrorCode::Invalid), "{wrong:?}");
        }
    }

    #[test]
    fn content_is_bounded_in_bytes() {
        assert!(draft("c", &"x".repeat(16 * 1024), None).is_ok());
        assert_eq!(draft("c", "", None), Err(ErrorCode::Invalid));
        assert_eq!(draft("c", &"x".repeat(16 * 1024 + 1), None), Err(ErrorCode::TooLarge));
        assert_eq!(draft("c", &"é".repeat(8 * 1024 + 1), None), Err(ErrorCode::TooLarge));
    }

    #[test]
    fn content_types_are_visible_ascii() {
        assert!(draft("c", "x", Some("text/plain; charset=utf-8")).is_ok());
        for wrong in [
            String::new(),
            "t".repeat(128),
            "text/plän".to_owned(),
            "text\tplain".to_owned(),
        ] {
            assert_eq!(draft("c", "x", Some(&wrong)), Err(ErrorCode::Invalid), "{wrong:?}");
        }
    }

    #[test]
    fn the_hash_tells_receivers_types_and_contents_apart() {
        let first = hash(Target::User(1), "text/plain", "x");
        assert_eq!(first.len(), 64);
        assert_eq!(first, hash(Target::User(1), "text/plain", "x"));
        assert_ne!(first, hash(Target::User(2), "text/plain", "x"));
        assert_ne!(first, hash(Target::Group(1), "text/plain", "x"));
        assert_ne!(first, hash(Target::User(1), "text/plain", "y"));
        assert_ne!(first, hash(Target::User(1), "text/plai", "nx"));
    }
}
