//! `mpim:host/ids`.

use call::Fault;
use runtime::State;

use crate::bindings::mpim::host::ids as wit;
use crate::guest::Guest;

impl wit::Host for State<Guest> {
    /// A node without a worker number ends the call that asks.
    fn next(&mut self) -> wasmtime::Result<u64> {
        let id = self.guest.services.ids.next();
        Ok(id.map_err(|error| Fault::Unavailable(error.to_string()))?)
    }
}
