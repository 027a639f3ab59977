//! Times, as a chat tells them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Hour and minute, UTC, of milliseconds since the epoch.
pub(super) fn clock(at_ms: u64) -> String {
    let minutes = at_ms / 60_000;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// How long ago a time was, in its largest unit.
pub(super) fn ago(at_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(at_ms) / 60_000 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..1440 => format!("{} h ago", minutes / 60),
        minutes => format!("{} d ago", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::{ago, clock};

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
