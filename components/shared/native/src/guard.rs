//! Rates and breakers: the promises of `mpim:host/rate-limit` and `mpim:host/breaker` at the time of the world.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::clock::Clock;

/// How many failures in a row open a breaker.
const FAILURES: u32 = 5;
/// For how long it is open.
const OPEN_MS: u64 = 5_000;

/// Token buckets and breakers by name.
#[derive(Debug)]
pub struct Guards {
    clock: Clock,
    rates: RefCell<BTreeMap<String, Rate>>,
    buckets: RefCell<BTreeMap<(String, String), Bucket>>,
    asked: RefCell<Vec<(String, String)>>,
    breakers: RefCell<BTreeMap<String, Breaker>>,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    burst: f64,
}

#[derive(Debug)]
struct Bucket {
    permits: f64,
    at_ms: u64,
}

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    open_until_ms: u64,
    trying: bool,
}

impl Guards {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            rates: RefCell::default(),
            buckets: RefCell::default(),
            asked: RefCell::default(),
            breakers: RefCell::default(),
        }
    }

    /// Sets the rate of a name, as the manifest would.
    pub fn limit(&self, name: &str, per_second: f64, burst: f64) {
        self.rates
            .borrow_mut()
            .insert(name.to_owned(), Rate { per_second, burst });
    }

    /// The names and keys of which permits were asked, in order.
    pub fn asked(&self) -> Vec<(String, String)> {
        self.asked.borrow().clone()
    }

    pub(crate) fn acquire(&self, name: &str, key: &str, permits: u32) -> Result<(), u64> {
        self.asked.borrow_mut().push((name.to_owned(), key.to_owned()));
        let Some(Rate { per_second, burst }) = self.rates.borrow().get(name).copied() else {
            return Ok(());
        };
        let now_ms = self.clock.now_ms();
        let mut buckets = self.buckets.borrow_mut();
        let bucket = buckets.entry((name.to_owned(), key.to_owned())).or_insert(Bucket {
            permits: burst,
            at_ms: now_ms,
        });
        let passed = now_ms.saturating_sub(bucket.at_ms) as f64 / 1000.0;
        bucket.permits = (bucket.permits + passed * per_second).min(burst);
        bucket.at_ms = now_ms;
        let missing = f64::from(permits) - bucket.permits;
        if missing <= 0.0 {
            bucket.permits -= f64::from(permits);
            return Ok(());
        }
        Err((missing / per_second * 1000.0).ceil() as u64)
    }

    pub(crate) fn allow(&self, name: String) -> bool {
        let mut breakers = self.breakers.borrow_mut();
        let breaker = breakers.entry(name).or_default();
        if breaker.failures < FAILURES {
            return true;
        }
        // Once its time is over one call may try.
        let tries = breaker.open_until_ms <= self.clock.now_ms() && !breaker.trying;
        breaker.trying |= tries;
        tries
    }

    pub(crate) fn report(&self, name: String, success: bool) {
        let mut breakers = self.breakers.borrow_mut();
        let breaker = breakers.entry(name).or_default();
        breaker.trying = false;
        if success {
            breaker.failures = 0;
            return;
        }
        breaker.failures = breaker.failures.saturating_add(1);
        if breaker.failures >= FAILURES {
            breaker.open_until_ms = self.clock.after_ms(OPEN_MS);
        }
    }
}
