//! Bounds on the lines and measures of one function.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, PoisonError};

use config::TelemetrySettings;
use metrics::Label;
use tokio::time::Instant;

/// The bounds of one function.
#[derive(Debug)]
pub struct Meter {
    pub(crate) function: Arc<str>,
    settings: TelemetrySettings,
    lines: Mutex<Lines>,
    series: Mutex<HashSet<u64>>,
    dropped: metrics::Counter,
}

#[derive(Debug)]
struct Lines {
    second: Instant,
    written: u32,
}

impl Meter {
    /// For a function.
    pub fn new(function: Arc<str>, settings: TelemetrySettings) -> Self {
        let dropped = metrics::counter!("mpim_telemetry_dropped_total", "function" => function.to_string());
        let lines = Mutex::new(Lines {
            second: Instant::now(),
            written: 0,
        });
        Self {
            function,
            settings,
            lines,
            series: Mutex::default(),
            dropped,
        }
    }

    pub(crate) fn may_log(&self) -> bool {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.second.elapsed().as_secs() >= 1 {
            *lines = Lines {
                second: Instant::now(),
                written: 0,
            };
        }
        lines.written = lines.written.saturating_add(1);
        let within = lines.written <= self.settings.log_lines_per_second;
        if !within {
            self.dropped.increment(1);
        }
        within
    }

    /// The labels of a series, unless it would be one too many, or too long. The label `function` is the host's.
    pub(crate) fn labels(&self, name: &str, labels: &[(String, String)]) -> Option<Vec<Label>> {
        let bytes = labels.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if name.len().saturating_add(bytes) > self.settings.series_bytes_max || !self.is_counted(name, labels) {
            self.dropped.increment(1);
            return None;
        }
        let given = labels.iter().map(|(key, value)| (label_name(key), value.clone()));
        let mut all: BTreeMap<String, String> = given.collect();
        all.insert("function".to_owned(), self.function.to_string());
        Some(all.into_iter().map(|(key, value)| Label::new(key, value)).collect())
    }

    fn is_counted(&self, name: &str, labels: &[(String, String)]) -> bool {
        let key = BuildHasherDefault::<DefaultHasher>::default().hash_one((name, labels));
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if series.contains(&key) {
            return true;
        }
        series.len() < self.settings.series_max && series.insert(key)
    }

    /// One line, whatever the component writes: what would end it or move the cursor is escaped.
    pub(crate) fn line(&self, message: &str, fields: &[(String, String)]) -> String {
        let most = self.settings.log_line_max_bytes;
        let mut line = String::new();
        append(&mut line, message, most);
        for (name, value) in fields {
            let value = value.get(..value.floor_char_boundary(most)).unwrap_or_default();
            append(&mut line, " ", most);
            append(&mut line, name, most);
            append(&mut line, &format!("={value:?}"), most);
        }
        line.truncate(line.floor_char_boundary(most));
        line
    }
}

/// Appends a text without its control characters, until the line has so many bytes.
fn append(line: &mut String, text: &str, most: usize) {
    for character in text.chars() {
        if line.len() >= most {
            return;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
}

/// A name that the text format of metrics allows: two that it cannot tell apart are one here already.
fn label_name(name: &str) -> String {
    let allowed = |character: char| {
        if character.is_ascii_alphanumeric() {
            character
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(allowed).collect();
    if name.starts_with(|first: char| !first.is_ascii_digit()) {
        name
    } else {
        format!("_{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_lines_and_series_is_cut_off() {
        let settings = TelemetrySettings {
            log_lines_per_second: 5,
            series_max: 3,
            ..TelemetrySettings::default()
        };
        let meter = Meter::new("flood".into(), settings);
        assert_eq!((0..100).filter(|_| meter.may_log()).count(), 5);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert!(meter.may_log());
        assert_eq!(
            (0..100)
                .filter(|index| meter.labels(&index.to_string(), &[]).is_some())
                .count(),
            3
        );
        assert!(meter.labels("0", &[]).is_some(), "a known series goes on");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let settings = TelemetrySettings {
            log_line_max_bytes: 10,
            ..TelemetrySettings::default()
        };
        assert_eq!(Meter::new("long".into(), settings).line("ééééééééé", &[]), "ééééé");
    }

    #[test]
    fn a_line_stays_one_line() {
        let meter = Meter::new("sly".into(), TelemetrySettings::default());
        let fields = [("key".to_owned(), "a\n\"b".to_owned())];
        assert_eq!(
            meter.line("one\r\ntwo\u{1b}[2J", &fields),
            "one\\r\\ntwo\\u{1b}[2J key=\"a\\n\\\"b\""
        );
    }

    #[test]
    fn a_series_has_each_label_once_and_that_of_the_host_is_true() {
        let meter = Meter::new("sly".into(), TelemetrySettings::default());
        let given = [("function", "send"), ("a-b", "1"), ("a.b", "2"), ("", "3"), ("1", "4")];
        let given = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let labels = meter.labels("name", &given).expect("counted");
        let labels: Vec<_> = labels.iter().map(|label| (label.key(), label.value())).collect();
        assert_eq!(labels, [("_", "3"), ("_1", "4"), ("a_b", "2"), ("function", "sly")]);
        assert!(meter.labels("name", &[("long".to_owned(), "x".repeat(1024))]).is_none());
    }
}
