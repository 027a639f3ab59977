//! Breakers and token buckets that components name themselves, a bounded number for each function.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::breakers::Breaker;
use crate::config::{BreakerSettings, Rate};

/// The breakers of one function by name.
#[derive(Debug)]
pub(super) struct Breakers {
    settings: BreakerSettings,
    named: Mutex<HashMap<String, Arc<Breaker>>>,
}

impl Breakers {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            named: Mutex::default(),
        }
    }

    /// Names beyond the bound are never held back: a breaker that is not there cannot open.
    pub(super) fn allow(&self, name: &str) -> bool {
        self.named(name).is_none_or(|breaker| breaker.allow())
    }

    pub(super) fn report(&self, name: &str, success: bool) {
        if let Some(breaker) = self.named(name) {
            breaker.report(success);
        }
    }

    fn named(&self, name: &str) -> Option<Arc<Breaker>> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = named.get(name) {
            return Some(breaker.clone());
        }
        if named.len() >= self.settings.names_max {
            return None;
        }
        let breaker = Arc::new(Breaker::new(self.settings.clone()));
        named.insert(name.to_owned(), breaker.clone());
        Some(breaker)
    }
}

/// The token buckets of one function by name and key.
#[derive(Debug)]
pub(super) struct Buckets {
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
        let back = now.duration_since(self.at).as_secs_f64() * rate.per_second;
        Self {
            tokens: (self.tokens + back).min(rate.burst),
            at: now,
        }
    }
}

impl Buckets {
    pub(super) fn new(rates: BTreeMap<String, Rate>, keys_max: usize) -> Self {
        Self {
            rates,
            keys_max,
            filled: Mutex::default(),
        }
    }

    /// Takes permits, or tells in how many milliseconds they will be there.
    pub(super) fn acquire(&self, name: &str, key: &str, permits: u32) -> Result<(), u64> {
        let Some(rate) = self.rates.get(name).copied() else {
            return Ok(());
        };
        let now = Instant::now();
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
        let place = (name.to_owned(), key.to_owned());
        if filled.len() >= self.keys_max && !filled.contains_key(&place) {
            return Err(WAIT_WHEN_FULL_MS);
        }
        let bucket = filled.entry(place).or_insert(full);
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

    fn buckets(keys_max: usize) -> Buckets {
        Buckets::new(
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

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate_holds() {
        let buckets = buckets(10);
        for _ in 0..3 {
            assert_eq!(buckets.acquire("login", "a", 1), Ok(()));
        }
        assert_eq!(buckets.acquire("login", "a", 1), Err(500));
        assert_eq!(buckets.acquire("login", "b", 1), Ok(()), "keys do not share");
        assert_eq!(
            buckets.acquire("other", "a", 9),
            Ok(()),
            "a name without a rate is not limited"
        );
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(buckets.acquire("login", "a", 1), Ok(()));
        assert_eq!(buckets.acquire("login", "a", 1), Err(500));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_bounded_and_full_buckets_make_room() {
        let buckets = buckets(2);
        assert!(buckets.acquire("login", "a", 1).is_ok() && buckets.acquire("login", "b", 1).is_ok());
        assert!(buckets.acquire("login", "c", 1).is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(buckets.acquire("login", "c", 1).is_ok());
    }
}
