//! Logs: one line of JSON each, on the standard error that Spin writes to the log of the component. Metrics are not
//! kept: Spin has none of ours.

use serde_json::{Map, Value, json};

use crate::bindings::exports::mpim::host::telemetry::{Guest, Level};
use crate::scope::Scope;
use crate::settings;

/// Bytes of one message or field; what is beyond is cut off.
const TEXT_MAX: usize = 1024;
/// Fields of one line; more are left out.
const FIELDS_MAX: usize = 32;

impl Guest for Scope {
    fn log(level: Level, message: String, fields: Vec<(String, String)>) {
        let level = match level {
            Level::Trace | Level::Debug => return,
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let mut line = Map::new();
        line.insert("level".to_owned(), json!(level));
        line.insert("function".to_owned(), json!(settings::get().name));
        line.insert("message".to_owned(), json!(clip(&message)));
        for (name, value) in fields.iter().take(FIELDS_MAX) {
            line.entry(clip(name)).or_insert_with(|| json!(clip(value)));
        }
        eprintln!("{}", Value::Object(line));
    }

    fn counter(_name: String, _by: u64, _labels: Vec<(String, String)>) {}

    fn gauge(_name: String, _value: f64, _labels: Vec<(String, String)>) {}

    fn histogram(_name: String, _value: f64, _labels: Vec<(String, String)>) {}
}

fn clip(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or(text)
}
