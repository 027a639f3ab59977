//! `mpim:host/password`: Argon2id on threads of its own, a bounded number at once and a bounded
//! number waiting, so that a storm of logins slows logins and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use password::{Cost, Invalid};
use tokio::sync::Semaphore;
use wasmtime::component::{Accessor, HasSelf};

use super::wit::password as wit;
use super::wit::types::Error;
use super::{Guest, Node};
use crate::config::PasswordSettings;
use contract::Fault;

/// Computes and checks hashes.
#[derive(Debug)]
pub struct Passwords {
    settings: PasswordSettings,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Passwords {
    /// With these parameters for new hashes.
    pub fn new(settings: PasswordSettings) -> Self {
        let running = Arc::new(Semaphore::new(settings.parallel_max.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            settings,
            running,
            waiting: AtomicUsize::new(0),
        }
    }

    async fn hash(&self, password: String) -> Result<String, Fault> {
        let cost = self.cost();
        self.away(password, move |password| password::hash(password, cost))
            .await
    }

    async fn verify(&self, password: String, hash: String) -> Result<bool, Fault> {
        let cost = self.cost();
        self.away(password, move |password| password::verify(password, &hash, cost))
            .await
    }

    fn cost(&self) -> Cost {
        Cost {
            memory_kib: self.settings.memory_kib,
            passes: self.settings.passes,
        }
    }

    async fn away<R: Send + 'static>(
        &self,
        password: String,
        work: impl FnOnce(&[u8]) -> Result<R, Invalid> + Send + 'static,
    ) -> Result<R, Fault> {
        let invalid = |Invalid(reason)| Fault::Invalid(reason);
        password::check(&password).map_err(invalid)?;
        let permit = {
            let _waiting = Waiting::enter(&self.waiting, self.settings.waiting_max)?;
            self.running
                .clone()
                .acquire_owned()
                .await
                .map_err(|error| Fault::Unavailable(error.to_string()))?
        };
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(password.as_bytes())
        });
        let done = done.await.map_err(|error| Fault::Unavailable(error.to_string()))?;
        done.map_err(invalid)
    }
}

/// A place among those that wait; given back when dropped, also when the call is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, max: usize) -> Result<Self, Fault> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let place = Self(count);
        if before >= max {
            return Err(Fault::Overloaded("too many password hashes are waiting".to_owned()));
        }
        Ok(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl wit::Host for Guest {}

impl<T: Send + 'static> wit::HostWithStore<T> for HasSelf<Guest> {
    async fn hash(accessor: &Accessor<T, Self>, password: String) -> Result<String, Error> {
        Ok(node(accessor).passwords.hash(password).await?)
    }

    async fn verify(accessor: &Accessor<T, Self>, password: String, hash: String) -> Result<bool, Error> {
        Ok(node(accessor).passwords.verify(password, hash).await?)
    }
}

fn node<T: 'static>(accessor: &Accessor<T, HasSelf<Guest>>) -> Arc<Node> {
    accessor.with(|mut access| access.get().node.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(PasswordSettings {
            memory_kib: 64,
            passes: 1,
            parallel_max: 1,
            waiting_max: 1,
        })
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_and_no_other() {
        let passwords = passwords();
        let hash = passwords.hash("correct horse".to_owned()).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(
            passwords.verify("correct horse".to_owned(), hash.clone()).await,
            Ok(true)
        );
        assert_eq!(passwords.verify("wrong horse".to_owned(), hash).await, Ok(false));
    }

    #[tokio::test]
    async fn a_hash_that_asks_for_too_much_memory_is_refused() {
        let hash = "$argon2id$v=19$m=1048576,t=1,p=1$c29tZXNhbHQ$WwAiCYP0aDhz1pGJzPtRYA".to_owned();
        assert!(matches!(
            passwords().verify("x".to_owned(), hash).await,
            Err(Fault::Invalid(_))
        ));
    }

    #[tokio::test]
    async fn one_more_than_may_wait_is_overloaded() {
        let passwords = passwords();
        let _running = passwords.running.clone().acquire_owned().await.expect("free");
        let waiting = Box::pin(passwords.hash("a".to_owned()));
        let (refused, _) = futures_util::future::select(Box::pin(passwords.hash("b".to_owned())), waiting)
            .await
            .factor_first();
        assert!(matches!(refused, Err(Fault::Overloaded(_))));
    }
}
