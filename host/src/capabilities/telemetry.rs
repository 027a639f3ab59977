//! `mpim:host/telemetry`: lines and measures of components, bounded for each function.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Label;
use tokio::time::Instant;

use super::Guest;
use super::wit::telemetry::{Host, Level};
use crate::config::TelemetrySettings;

/// The bounds of one function.
#[derive(Debug)]
pub struct Meter {
    function: Arc<str>,
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

    fn may_log(&self) -> bool {
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

    /// The labels of a series, unless it would be one too many.
    fn labels(&self, name: &str, labels: &[(String, String)]) -> Option<Vec<Label>> {
        let key = {
            use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
            BuildHasherDefault::<DefaultHasher>::default().hash_one((name, labels))
        };
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if !series.contains(&key) {
            if series.len() >= self.settings.series_max || name.len() > self.settings.log_line_max_bytes {
                self.dropped.increment(1);
                return None;
            }
            series.insert(key);
        }
        let own = Label::new("function", self.function.to_string());
        Some(
            labels
                .iter()
                .map(|(key, value)| Label::new(key.clone(), value.clone()))
                .chain([own])
                .collect(),
        )
    }

    fn line(&self, message: String, fields: &[(String, String)]) -> String {
        let mut line = fields.iter().fold(message, |mut line, (name, value)| {
            line.push_str(&format!(" {name}={value:?}"));
            line
        });
        if line.len() > self.settings.log_line_max_bytes {
            line.truncate(line.floor_char_boundary(self.settings.log_line_max_bytes));
        }
        line
    }
}

impl Host for Guest {
    fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) {
        let meter = &self.granted.meter;
        if !meter.may_log() {
            return;
        }
        let (function, line) = (&meter.function, meter.line(message, &fields));
        match level {
            Level::Trace => tracing::trace!(target: "component", %function, "{line}"),
            Level::Debug => tracing::debug!(target: "component", %function, "{line}"),
            Level::Info => tracing::info!(target: "component", %function, "{line}"),
            Level::Warn => tracing::warn!(target: "component", %function, "{line}"),
            Level::Error => tracing::error!(target: "component", %function, "{line}"),
        }
    }

    fn counter(&mut self, name: String, by: u64, labels: Vec<(String, String)>) {
        if let Some(labels) = self.granted.meter.labels(&name, &labels) {
            metrics::counter!(name, labels).increment(by);
        }
    }

    fn gauge(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        if let Some(labels) = self.granted.meter.labels(&name, &labels) {
            metrics::gauge!(name, labels).set(value);
        }
    }

    fn histogram(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        if let Some(labels) = self.granted.meter.labels(&name, &labels) {
            metrics::histogram!(name, labels).record(value);
        }
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
        assert_eq!(
            Meter::new("long".into(), settings).line("ééééééééé".to_owned(), &[]),
            "ééééé"
        );
    }
}
