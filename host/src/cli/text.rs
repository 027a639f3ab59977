//! Text on a terminal: what others wrote is made harmless, and times are told short.

use std::borrow::Cow;

/// Replaces what could steer a terminal: control characters, and those that turn the direction of writing.
/// Line breaks stay only where they are wanted.
pub(crate) fn clean(text: &str, keep_lines: bool) -> Cow<'_, str> {
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

/// Hour and minute, UTC, of milliseconds since the epoch.
pub(crate) fn clock(at_ms: u64) -> String {
    let minutes = at_ms / 60_000;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// How long ago a time was, in its largest unit.
pub(crate) fn ago(at_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(at_ms) / 60_000 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..1440 => format!("{} h ago", minutes / 60),
        minutes => format!("{} d ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::{ago, clean, clock};

    #[test]
    fn what_others_write_cannot_steer_the_terminal() {
        assert_eq!(
            clean("hi \u{1b}[2J\u{202e}there\r\n", false),
            "hi \u{fffd}[2J\u{fffd}there\u{fffd}⏎"
        );
        assert_eq!(clean("a\nb", true), "a\nb");
        assert_eq!(clean("grüße 👋", false), "grüße 👋");
    }

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(clock(1_700_000_000_000), "22:13");
        assert_eq!(clock(0), "00:00");
    }

    #[test]
    fn what_is_past_is_told_in_its_largest_unit() {
        let minute = 60_000;
        let told = [
            0,
            minute - 1,
            minute,
            59 * minute,
            60 * minute,
            1439 * minute,
            3000 * minute,
        ];
        let expected = [
            "just now",
            "just now",
            "1 min ago",
            "59 min ago",
            "1 h ago",
            "23 h ago",
            "2 d ago",
        ];
        assert_eq!(told.map(|past| ago(7, 7 + past)), expected);
        assert_eq!(ago(7, 0), "just now", "clocks differ");
    }
}
