//! A distribution of durations in a few kilobytes, which the client commands that measure share.

use std::time::Duration;

/// Buckets for each power of two: values are told with an error below 1/16.
const STEPS: u64 = 16;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// A distribution of durations in a few kilobytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    counts: Vec<u64>,
    total: u64,
    most_us: u64,
}

impl Latencies {
    /// Counts one.
    pub(crate) fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(us);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.total += 1;
        self.most_us = self.most_us.max(us);
    }

    /// Adds another's.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.most_us = self.most_us.max(other.most_us);
    }

    /// The duration, in microseconds, that this share of all, in thousandths, did not pass; 0 of none.
    pub(crate) fn quantile_us(&self, thousandths: u64) -> u64 {
        let rank = (self.total * thousandths).div_ceil(1000);
        let mut passed = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            passed += count;
            if passed >= rank && *count > 0 {
                return last_of(bucket).min(self.most_us);
            }
        }
        self.most_us
    }
}

fn bucket(us: u64) -> usize {
    let bucket = match us.checked_ilog2() {
        Some(power) if power >= STEP_BITS => {
            let step = (us >> (power - STEP_BITS)) - STEPS;
            u64::from(power - STEP_BITS + 1) * STEPS + step
        }
        _ => us,
    };
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The greatest value of a bucket.
fn last_of(bucket: usize) -> u64 {
    let (power, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match power {
        0 => step,
        power => ((STEPS + step + 1) << (power - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Latencies, bucket, last_of};

    #[test]
    fn buckets_are_in_order_and_narrow() {
        let values = (0..100_000).chain([u64::MAX / 4, u64::MAX / 2]);
        for us in values {
            let last = last_of(bucket(us));
            assert!(
                last >= us && (last - us) as f64 <= us as f64 / 16.0,
                "{us} is told as {last}"
            );
        }
        assert!((1..100_000).all(|us| bucket(us) >= bucket(us - 1)));
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile_us(990), 0);
        (1..=100).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        let mut sum = Latencies::default();
        sum.add(&latencies);
        let near = |thousandths, us: u64| sum.quantile_us(thousandths).abs_diff(us) <= us / 16;
        assert!(near(500, 50_000) && near(990, 99_000));
        assert_eq!(sum.quantile_us(1000), 100_000);
    }
}
