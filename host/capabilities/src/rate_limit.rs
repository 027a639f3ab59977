//! `mpim:host/rate-limit`: the buckets of the function's manifest.

use runtime::State;

use crate::bindings::mpim::host::rate_limit as wit;
use crate::guest::Guest;
use crate::verdict::now;

impl wit::Host for State<Guest> {
    fn acquire(&mut self, name: String, key: String, permits: u32) -> Result<(), u64> {
        self.guest.granted.rates.acquire(&name, &key, permits, now())
    }
}
