//! Token buckets: permits come back at a rate, and some can be saved up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Permits that come back each second.
    pub per_second: f64,
    /// Permits that can be saved up.
    pub burst: f64,
}

/// Token buckets by name and key, a bounded number.
#[derive(Debug)]
pub struct Rates {
    rates: BTreeMap<String, Rate>,
    keys_max: usize,
    filled: Mutex<HashMap<(String, String), Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn refilled(self, rate: Rate, now: Instant) -> Self {
        let back = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second;
        Self {
            tokens: (self.tokens + back).min(rate.burst),
            at: now,
        }
    }
}

impl Rates {
    /// Buckets of these rates by name, full ones, and so many keys of them at once.
    pub fn new(rates: BTreeMap<String, Rate>, keys_max: usize) -> Self {
        Self {
            rates,
            keys_max,
            filled: Mutex::default(),
        }
    }

    /// Takes permits at this time, or tells in how many milliseconds they will be there.
    pub fn acquire(&self, name: &str, key: &str, permits: u32, now: Instant) -> Result<(), u64> {
        let Some(rate) = self.rates.get(name).copied() else {
            return Ok(());
        };
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        if filled.len() >= self.keys_max {
            // A full bucket and one that is not there are the same.
            let rates = &self.rates;
            filled.retain(|(name, _), bucket| {
                rates
                    .get(name)
                    .is_some_and(|rate| bucket.refilled(*rate, now).tokens < rate.burst)
            });
        }
        let full = Bucket {
            tokens: rate.burst,
            at: now,
        };
        let bucket = (name.to_owned(), key.to_owned());
        if filled.len() >= self.keys_max && !filled.contains_key(&bucket) {
            return Err(WAIT_WHEN_FULL_MS);
        }
        let bucket = filled.entry(bucket).or_insert(full);
        *bucket = bucket.refilled(rate, now);
        let missing = f64::from(permits) - bucket.tokens;
        if missing > 0.0 {
            return Err(wait_ms(missing, rate));
        }
        bucket.tokens -= f64::from(permits);
        Ok(())
    }
}

/// How long a new key waits while all buckets are taken.
const WAIT_WHEN_FULL_MS: u64 = 1_000;

fn wait_ms(missing: f64, rate: Rate) -> u64 {
    const LONGEST_MS: f64 = 3_600_000.0;
    let wait = (missing / rate.per_second.max(f64::MIN_POSITIVE) * 1000.0)
        .ceil()
        .clamp(1.0, LONGEST_MS);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 1 ..= LONGEST_MS"
    )]
    {
        wait as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn buckets(keys_max: usize) -> Rates {
        Rates::new(
            BTreeMap::from([(
                "login".to_owned(),
                Rate {
                    per_second: 2.0,
                    burst: 3.0,
                },
            )]),
            keys_max,
        )
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (buckets, mut now) = (buckets(10), Instant::now());
        for _ in 0..3 {
            assert_eq!(buckets.acquire("login", "a", 1, now), Ok(()));
        }
        assert_eq!(buckets.acquire("login", "a", 1, now), Err(500));
        assert_eq!(buckets.acquire("login", "b", 1, now), Ok(()), "keys do not share");
        assert_eq!(
            buckets.acquire("other", "a", 9, now),
            Ok(()),
            "a name without a rate is not limited"
        );
        now += Duration::from_millis(500);
        assert_eq!(buckets.acquire("login", "a", 1, now), Ok(()));
        assert_eq!(buckets.acquire("login", "a", 1, now), Err(500));
    }

    #[test]
    fn keys_are_bounded_and_full_buckets_make_room() {
        let (buckets, mut now) = (buckets(2), Instant::now());
        assert!(buckets.acquire("login", "a", 1, now).is_ok() && buckets.acquire("login", "b", 1, now).is_ok());
        assert!(buckets.acquire("login", "c", 1, now).is_err());
        now += Duration::from_secs(1);
        assert!(buckets.acquire("login", "c", 1, now).is_ok());
    }
}
