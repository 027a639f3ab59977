//! The names that a manifest may give. It refuses to know what is named.

use serde::Deserialize;

/// The name of a component: words of one case with `-` between them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub(crate) struct ComponentName(pub(crate) String);

impl TryFrom<String> for ComponentName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        check(&name, '-', '_')?;
        Ok(Self(name))
    }
}

/// The name of a variable in a manifest: words in lower case with `_` between them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub(crate) struct VariableName(pub(crate) String);

impl TryFrom<String> for VariableName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        check(&name, '_', '-')?;
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("{name:?} must be in lower case"));
        }
        Ok(Self(name))
    }
}

/// Whether a name is of words with the one separator and without the other.
fn check(name: &str, separator: char, other: char) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name must not be empty".to_owned());
    }
    if name.contains(other) {
        return Err(format!(
            "the words of {name:?} must be separated by {separator:?}, not by {other:?}"
        ));
    }
    name.split(separator)
        .try_for_each(|word| check_word(word).map_err(|reason| format!("a word of {name:?} {reason}")))
}

fn check_word(word: &str) -> Result<(), &'static str> {
    let mut letters = word.bytes();
    let Some(first) = letters.next() else {
        return Err("is empty");
    };
    if !first.is_ascii_alphabetic() {
        return Err("does not start with an ASCII letter");
    }
    for letter in letters {
        if !letter.is_ascii_alphanumeric() {
            return Err("has something other than ASCII letters and digits");
        }
        if letter.is_ascii_alphabetic() && letter.is_ascii_uppercase() != first.is_ascii_uppercase() {
            return Err("has letters of both cases");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ComponentName, VariableName};

    #[test]
    fn names_are_words_of_one_case_with_the_separator_of_their_kind() {
        let component = |name: &str| ComponentName::try_from(name.to_owned()).is_ok();
        let variable = |name: &str| VariableName::try_from(name.to_owned()).is_ok();
        assert!(component("pull-offline") && component("x2") && component("HTTP-front"));
        for name in ["", "pull_offline", "2x", "a--b", "Pull", "a-", "é"] {
            assert!(!component(name), "{name}");
        }
        assert!(variable("redis_url") && variable("a1"));
        for name in ["", "redis-url", "REDIS", "a__b", "_a", "1a"] {
            assert!(!variable(name), "{name}");
        }
    }
}
