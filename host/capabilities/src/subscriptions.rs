//! `mpim:host/subscriptions`: what is told to the gateway of every node.

use runtime::State;
use wasmtime::component::{Accessor, HasSelf};
use wire::push::Push;

use crate::bindings::mpim::host::subscriptions as wit;
use crate::bindings::mpim::host::types::Error;
use crate::guest::{Guest, guest};
use crate::push::publish;

impl wit::Host for State<Guest> {}

impl<T: Send + 'static> wit::HostWithStore<T> for HasSelf<State<Guest>> {
    async fn subscribe(accessor: &Accessor<T, Self>, users: Vec<u64>, topic: String) -> Result<(), Error> {
        change(accessor, Push::Subscribe { users, topic }).await
    }

    async fn unsubscribe(accessor: &Accessor<T, Self>, users: Vec<u64>, topic: String) -> Result<(), Error> {
        change(accessor, Push::Unsubscribe { users, topic }).await
    }
}

async fn change<T: 'static>(accessor: &Accessor<T, HasSelf<State<Guest>>>, push: Push) -> Result<(), Error> {
    Ok(publish(&push, &guest(accessor).services).await?)
}
