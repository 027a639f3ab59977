//! What others wrote, made harmless for a terminal.

use std::borrow::Cow;

/// Replaces what could steer a terminal: control characters, and those that turn the direction of writing.
/// Line breaks stay only where they are wanted.
pub fn clean(text: &str, keep_lines: bool) -> Cow<'_, str> {
    let harmless = |character: char| match character {
        '\n' => keep_lines,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        other => !other.is_control(),
    };
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mark = |character: char| match character {
        '\n' => '⏎',
        '\t' => ' ',
        _ => '\u{fffd}',
    };
    Cow::Owned(
        text.chars()
            .map(|character| {
                if harmless(character) {
                    character
                } else {
                    mark(character)
                }
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn what_others_write_cannot_steer_the_terminal() {
        assert_eq!(
            clean("hi \u{1b}[2J\u{202e}there\r\n", false),
            "hi \u{fffd}[2J\u{fffd}there\u{fffd}⏎"
        );
        assert_eq!(clean("a\nb", true), "a\nb");
        assert_eq!(clean("grüße 👋", false), "grüße 👋");
    }
}
