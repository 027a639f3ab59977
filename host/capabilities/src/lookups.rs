//! What came of the lookups of one function in the cache.

use backends::read_through::Tally;
use metrics::Counter;

/// How the lookups of one function were answered.
pub(crate) struct Lookups {
    hit: Counter,
    absent: Counter,
    miss: Counter,
    waited: Counter,
    failed_lookups: Counter,
    pub(crate) failed_fills: Counter,
    pub(crate) failed_forgets: Counter,
}

impl Lookups {
    pub(crate) fn new(function: &str) -> Self {
        let lookups = |result: &'static str| metrics::counter!("mpim_cache_lookups_total", "function" => function.to_owned(), "result" => result);
        let failed = |what: &'static str| metrics::counter!("mpim_cache_failures_total", "function" => function.to_owned(), "what" => what);
        Self {
            hit: lookups("hit"),
            absent: lookups("absent"),
            miss: lookups("miss"),
            waited: lookups("waited"),
            failed_lookups: failed("lookup"),
            failed_fills: failed("fill"),
            failed_forgets: failed("forget"),
        }
    }

    pub(crate) fn count(&self, tally: Tally) {
        self.hit.increment(tally.hit);
        self.absent.increment(tally.absent);
        self.miss.increment(tally.miss);
        self.waited.increment(tally.waited);
        self.failed_lookups.increment(u64::from(tally.failed));
    }
}
