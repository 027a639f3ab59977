//! Argon2id on threads of its own, a bounded number at once and a bounded number waiting, so that a storm of logins
//! slows logins and nothing else.

use std::time::{Duration, Instant};

use config::PasswordSettings;
use contract::Fault;
use password::{Cost, Invalid};
use policy::{Bulkhead, Full};

/// By so much waiting here outlives the deadline of the call that waits.
const LONGER: Duration = Duration::from_secs(1);

/// Computes and checks hashes.
#[derive(Debug)]
pub struct Passwords {
    settings: PasswordSettings,
    hashing: Bulkhead,
}

impl Passwords {
    /// With these parameters for new hashes.
    pub fn new(settings: PasswordSettings) -> Self {
        let hashing = Bulkhead::new(settings.parallel_max, settings.waiting_max);
        Self { settings, hashing }
    }

    pub(crate) async fn hash(&self, password: String, deadline: Instant) -> Result<String, Fault> {
        let cost = self.cost();
        self.away(password, deadline, move |password| password::hash(password, cost))
            .await
    }

    pub(crate) async fn verify(&self, password: String, hash: String, deadline: Instant) -> Result<bool, Fault> {
        let cost = self.cost();
        self.away(password, deadline, move |password| {
            password::verify(password, &hash, cost)
        })
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
        deadline: Instant,
        work: impl FnOnce(&[u8]) -> Result<R, Invalid> + Send + 'static,
    ) -> Result<R, Fault> {
        let invalid = |Invalid(reason)| Fault::Invalid(reason);
        password::check(&password).map_err(invalid)?;
        let full = |Full| Fault::Overloaded("too many password hashes are waiting".to_owned());
        // Who waits is ended by its call, which says that better.
        let permit = self.hashing.enter(deadline + LONGER).await.map_err(full)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(password.as_bytes())
        });
        let done = done.await.map_err(|error| Fault::Unavailable(error.to_string()))?;
        done.map_err(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> Instant {
        Instant::now() + std::time::Duration::from_secs(60)
    }

    fn passwords() -> Passwords {
        Passwords::new(PasswordSettings {
            memory_kib: 64,
            passes: 1,
            parallel_max: 1,
            waiting_max: 1,
        })
    }

    #[test]
    fn a_node_without_settings_hashes_at_the_cost_of_every_host() {
        assert_eq!(Passwords::new(PasswordSettings::default()).cost(), Cost::default());
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_and_no_other() {
        let passwords = passwords();
        let hash = passwords
            .hash("correct horse".to_owned(), later())
            .await
            .expect("hashed");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(
            passwords
                .verify("correct horse".to_owned(), hash.clone(), later())
                .await,
            Ok(true)
        );
        assert_eq!(
            passwords.verify("wrong horse".to_owned(), hash, later()).await,
            Ok(false)
        );
    }

    #[tokio::test]
    async fn a_hash_that_asks_for_too_much_memory_is_refused() {
        let hash = "$argon2id$v=19$m=1048576,t=1,p=1$c29tZXNhbHQ$WwAiCYP0aDhz1pGJzPtRYA".to_owned();
        assert!(matches!(
            passwords().verify("x".to_owned(), hash, later()).await,
            Err(Fault::Invalid(_))
        ));
    }

    #[tokio::test]
    async fn one_more_than_may_wait_is_overloaded() {
        let passwords = passwords();
        let _running = passwords.hashing.enter(later()).await.expect("free");
        let waiting = Box::pin(passwords.hash("a".to_owned(), later()));
        let (refused, _) = futures_util::future::select(Box::pin(passwords.hash("b".to_owned(), later())), waiting)
            .await
            .factor_first();
        assert!(matches!(refused, Err(Fault::Overloaded(_))));
    }
}
