//! `mpim:host/password` over the threads that hash.

use runtime::State;
use wasmtime::component::{Accessor, HasSelf};

use crate::bindings::mpim::host::password as wit;
use crate::bindings::mpim::host::types::Error;
use crate::guest::{Guest, call};

impl wit::Host for State<Guest> {}

impl<T: Send + 'static> wit::HostWithStore<T> for HasSelf<State<Guest>> {
    async fn hash(accessor: &Accessor<T, Self>, password: String) -> Result<String, Error> {
        let (services, deadline) = call(accessor);
        Ok(services.passwords.hash(password, deadline).await?)
    }

    async fn verify(accessor: &Accessor<T, Self>, password: String, hash: String) -> Result<bool, Error> {
        let (services, deadline) = call(accessor);
        Ok(services.passwords.verify(password, hash, deadline).await?)
    }
}
