//! `mpim:host/config`.

use runtime::State;

use crate::bindings::mpim::host::config as wit;
use crate::guest::Guest;

impl wit::Host for State<Guest> {
    fn value(&mut self, key: String) -> Option<String> {
        self.guest.granted.config.get(&key).cloned()
    }
}
