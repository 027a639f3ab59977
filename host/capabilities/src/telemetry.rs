//! `mpim:host/telemetry`: lines and measures of components.

use runtime::State;

use crate::bindings::mpim::host::telemetry as wit;
use crate::bindings::mpim::host::telemetry::Level;
use crate::guest::Guest;

impl wit::Host for State<Guest> {
    fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) {
        let meter = &self.guest.granted.meter;
        if !meter.may_log() {
            return;
        }
        let (function, line) = (&meter.function, meter.line(&message, &fields));
        match level {
            Level::Trace => tracing::trace!(target: "component", %function, "{line}"),
            Level::Debug => tracing::debug!(target: "component", %function, "{line}"),
            Level::Info => tracing::info!(target: "component", %function, "{line}"),
            Level::Warn => tracing::warn!(target: "component", %function, "{line}"),
            Level::Error => tracing::error!(target: "component", %function, "{line}"),
        }
    }

    fn counter(&mut self, name: String, by: u64, labels: Vec<(String, String)>) {
        if let Some(labels) = self.guest.granted.meter.labels(&name, &labels) {
            metrics::counter!(name, labels).increment(by);
        }
    }

    fn gauge(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        if let Some(labels) = self.guest.granted.meter.labels(&name, &labels) {
            metrics::gauge!(name, labels).set(value);
        }
    }

    fn histogram(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        if let Some(labels) = self.guest.granted.meter.labels(&name, &labels) {
            metrics::histogram!(name, labels).record(value);
        }
    }
}
