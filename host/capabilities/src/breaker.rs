//! `mpim:host/breaker`: the breakers of the function.

use runtime::State;

use crate::bindings::mpim::host::breaker as wit;
use crate::guest::Guest;

impl wit::Host for State<Guest> {
    fn allow(&mut self, name: String) -> bool {
        self.guest.granted.breakers.allow(&name)
    }

    fn report(&mut self, name: String, success: bool) {
        self.guest.granted.breakers.report(&name, success);
    }
}
