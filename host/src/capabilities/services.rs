//! The capabilities that only pass a question on: `ids`, `config`, `breaker`, `rate-limit`, `subscriptions`.

use wasmtime::component::{Accessor, HasSelf};

use super::wit::types::Error;
use super::wit::{breaker, config, ids, rate_limit, subscriptions};
use wire::push::Push;

use super::{Guest, push};

impl ids::Host for Guest {
    fn next(&mut self) -> wasmtime::Result<u64> {
        Ok(self.node.ids.next()?)
    }
}

impl config::Host for Guest {
    fn value(&mut self, key: String) -> Option<String> {
        self.granted.config.get(&key).cloned()
    }
}

impl breaker::Host for Guest {
    fn allow(&mut self, name: String) -> bool {
        self.granted.breakers.allow(&name)
    }

    fn report(&mut self, name: String, success: bool) {
        self.granted.breakers.report(&name, success);
    }
}

impl rate_limit::Host for Guest {
    fn acquire(&mut self, name: String, key: String, permits: u32) -> Result<(), u64> {
        self.granted.buckets.acquire(&name, &key, permits)
    }
}

impl subscriptions::Host for Guest {}

impl<T: Send + 'static> subscriptions::HostWithStore<T> for HasSelf<Guest> {
    async fn subscribe(accessor: &Accessor<T, Self>, users: Vec<u64>, topic: String) -> Result<(), Error> {
        change(accessor, Push::Subscribe { users, topic }).await
    }

    async fn unsubscribe(accessor: &Accessor<T, Self>, users: Vec<u64>, topic: String) -> Result<(), Error> {
        change(accessor, Push::Unsubscribe { users, topic }).await
    }
}

async fn change<T: 'static>(accessor: &Accessor<T, HasSelf<Guest>>, push: Push) -> Result<(), Error> {
    let node = accessor.with(|mut access| access.get().node.clone());
    Ok(push::publish(&push, &node).await?)
}
