//! What the server says when something fails, as far as Spin passes it on. It refuses to know what was asked.

use contract::sql::Error;
use dialect::failure::{Failure, Said, judge, unavailable};
use spin_sdk::mysql::{Error as SpinError, MysqlError};

/// The server keeps as many statements prepared as it may.
const TOO_MANY_PREPARED: u16 = 1461;

/// Numbers of what a server says that has no room for a connection of anybody, or of this user.
const FULL: [&str; 3] = ["(1040)", "(1203)", "(1226)"];

/// What an error means that does not answer a COMMIT.
pub(super) fn failure(error: &SpinError) -> Failure {
    if let Some((code, state, message)) = said(error) {
        if code == TOO_MANY_PREPARED {
            return Failure::halfway(unavailable("it keeps too many statements prepared"));
        }
        return judge(Said {
            code,
            state: &state,
            message: &message,
        });
    }
    let SpinError::MysqlError(error) = error else {
        return Failure::halfway(unavailable("a value cannot be read"));
    };
    match error {
        MysqlError::BadParameter(text) => Failure::of_request(Error::Invalid(text.clone())),
        MysqlError::ConnectionFailed(_) => Failure::gone("it cannot be reached"),
        MysqlError::Other(text) if text.contains("exceeds limit") => {
            Failure::halfway(Error::Overloaded("the result has too many bytes".to_owned()))
        }
        _ => Failure::gone("the connection was lost"),
    }
}

/// Whether a connection was not made because there are too many: the server says so with a number of its own, and Spin in
/// the same words when it has a bound of its own.
pub(super) fn is_full(error: &SpinError) -> bool {
    match error {
        SpinError::MysqlError(MysqlError::ConnectionFailed(text)) => {
            text.to_lowercase().contains("too many connections") || FULL.iter().any(|number| text.contains(number))
        }
        _ => false,
    }
}

/// What the server said: its number, state and words. Spin passes the words of its client library on, which has them.
pub(super) fn said(error: &SpinError) -> Option<(u16, String, String)> {
    match error {
        SpinError::MysqlError(MysqlError::QueryFailed(text)) => read_said(text),
        _ => None,
    }
}

/// The number, the state and the words of the server in `Server(ServerError { code: …, message: "…", state: "…" })`.
fn read_said(text: &str) -> Option<(u16, String, String)> {
    let (_, said) = text.split_once("ServerError {")?;
    let (_, code) = said.split_once("code: ")?;
    let code = code
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?
        .parse()
        .ok()?;
    let quoted = |name: &str| {
        let (_, text) = said.split_once(&format!("{name}: \""))?;
        Some(unescaped(text))
    };
    Some((
        code,
        quoted("state").unwrap_or_default(),
        quoted("message").unwrap_or_default(),
    ))
}

/// A text in quotes, up to the closing one.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => plain.extend(letters.next()),
            letter => plain.push(letter),
        }
    }
    plain
}
