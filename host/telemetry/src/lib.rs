//! Logs and metrics of the process: where they go, and nothing of what they say.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Buckets of seconds, from a warm call to a lost one.
const SECONDS: [f64; 14] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];

/// Starts both. `MPIM_LOG` says what is logged (such as `info,mpim=debug`), `MPIM_LOG_FORMAT=json` how.
/// Repeating it changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_env("MPIM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    // An error means that a subscriber is there already.
    let _ = if std::env::var("MPIM_LOG_FORMAT").is_ok_and(|format| format == "json") {
        lines.json().try_init()
    } else {
        lines.with_target(false).try_init()
    };
    METRICS.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let recorder = builder.set_buckets(&SECONDS).unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        // An error means that a recorder is there already.
        let _ = metrics::set_global_recorder(recorder);
        handle
    });
}

/// All metrics in the text format of Prometheus.
pub fn prometheus() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Frees what the metrics hold of finished intervals; wanted now and then.
pub fn upkeep() {
    if let Some(metrics) = METRICS.get() {
        metrics.run_upkeep();
    }
}
