//! What a performance measured: counts, times, and how they are printed.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::latencies::Latencies;

/// What one member counted, or all of them together.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) pulled: u64,
    pub(super) repeats: u64,
    pub(super) drops: u64,
    pub(super) losses: u64,
    pub(super) pulls: u64,
    pub(super) idle_pulls: u64,
    pub(super) turned_away: u64,
    pub(super) latencies: Latencies,
    /// After the start.
    pub(super) last_receipt: Duration,
    pub(super) last_delivery: Duration,
}

impl Counts {
    /// Adds another's.
    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.pulled += other.pulled;
        self.repeats += other.repeats;
        self.drops += other.drops;
        self.losses += other.losses;
        self.pulls += other.pulls;
        self.idle_pulls += other.idle_pulls;
        self.turned_away += other.turned_away;
        self.latencies.add(&other.latencies);
        self.last_receipt = self.last_receipt.max(other.last_receipt);
        self.last_delivery = self.last_delivery.max(other.last_delivery);
    }
}

/// The outcome of a performance; its fields are the JSON of `--json`. Times are in milliseconds, rates in a second.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) run: String,
    pub(super) seed: u64,
    pub(super) lines: usize,
    pub(super) speakers: usize,
    pub(super) small_groups: usize,
    /// The fan-out of the group of all, and of the small groups.
    pub(super) fan_out: [String; 2],
    pub(super) messages: u64,
    pub(super) messages_ms: f64,
    pub(super) messages_per_s: f64,
    pub(super) deliveries: u64,
    pub(super) deliveries_expected: u64,
    pub(super) deliveries_ms: f64,
    pub(super) deliveries_per_s: f64,
    pub(super) latency_p50_ms: f64,
    pub(super) latency_p99_ms: f64,
    pub(super) latency_max_ms: f64,
    /// Connections dropped on purpose.
    pub(super) drops: u64,
    /// Connections lost otherwise.
    pub(super) losses: u64,
    /// Pulls after drops and for gaps, and those after a silence.
    pub(super) pulls: u64,
    pub(super) idle_pulls: u64,
    /// Messages that came by a pull instead of a push.
    pub(super) pulled: u64,
    /// Frames that the device had had and did not show.
    pub(super) repeats: u64,
    /// Sends that the service was too full for, and that were made again.
    pub(super) turned_away: u64,
    pub(super) differences: usize,
    pub(super) first_differences: Vec<String>,
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn rate(count: u64, over: Duration) -> f64 {
    match over.is_zero() {
        true => 0.0,
        false => (count as f64 / over.as_secs_f64()).round(),
    }
}

impl Report {
    /// Fills in what was counted.
    pub(super) fn count(&mut self, counts: &Counts) {
        self.messages = counts.sent;
        self.messages_ms = ms(counts.last_receipt);
        self.messages_per_s = rate(counts.sent, counts.last_receipt);
        self.deliveries = counts.delivered;
        self.deliveries_ms = ms(counts.last_delivery);
        self.deliveries_per_s = rate(counts.delivered, counts.last_delivery);
        let quantile = |thousandths| ms(Duration::from_micros(counts.latencies.quantile_us(thousandths)));
        (self.latency_p50_ms, self.latency_p99_ms) = (quantile(500), quantile(990));
        self.latency_max_ms = quantile(1000);
        (self.drops, self.losses) = (counts.drops, counts.losses);
        (self.pulls, self.idle_pulls, self.pulled) = (counts.pulls, counts.idle_pulls, counts.pulled);
        (self.repeats, self.turned_away) = (counts.repeats, counts.turned_away);
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let [all, small] = &self.fan_out;
        writeln!(
            out,
            "run {} (seed {}): {} lines by {} speakers, one group of all (fan-out on {all}), {} small (on {small})",
            self.run, self.seed, self.lines, self.speakers, self.small_groups
        )?;
        writeln!(
            out,
            "sent       {} messages in {:.1} ms, {:.0}/s; {} sent again because the server was full",
            self.messages, self.messages_ms, self.messages_per_s, self.turned_away
        )?;
        writeln!(
            out,
            "delivered  {} of {} in {:.1} ms, {:.0}/s",
            self.deliveries, self.deliveries_expected, self.deliveries_ms, self.deliveries_per_s
        )?;
        writeln!(
            out,
            "latency    p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, from sending to the frame at the receiver",
            self.latency_p50_ms, self.latency_p99_ms, self.latency_max_ms
        )?;
        writeln!(
            out,
            "network    {} drops made, {} connections lost otherwise; {} pulls and {} after a silence brought {} messages; \
             {} repeats not shown",
            self.drops, self.losses, self.pulls, self.idle_pulls, self.pulled, self.repeats
        )?;
        match self.differences {
            0 => writeln!(
                out,
                "checked    every member has every line of both groups once and in order"
            ),
            count => {
                writeln!(out, "checked    {count} differences, the first of them:")?;
                self.first_differences
                    .iter()
                    .try_for_each(|difference| writeln!(out, "  {difference}"))
            }
        }
    }
}
