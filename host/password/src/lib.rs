//! Slow hashes of passwords: Argon2id, with bounds on what a hash may cost. Where and how many at once are computed is
//! not known here.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

/// Longer passwords are refused: they would only cost memory.
pub const PASSWORD_MAX_BYTES: usize = 1024;
/// A stored hash may ask for so many times the memory of the settings: enough for settings that were
/// lowered since, and not enough to exhaust the machine.
const MEMORY_FACTOR_MAX: u32 = 8;

/// What a new hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Cost {
    /// The first recommendation of the OWASP password storage cheat sheet for Argon2id with 19 MiB.
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
        }
    }
}

/// What was asked is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Refuses a password that is too long, before anything is computed.
pub fn check(password: &str) -> Result<(), Invalid> {
    if password.len() > PASSWORD_MAX_BYTES {
        return Err(Invalid(format!("a password has {PASSWORD_MAX_BYTES} bytes at most")));
    }
    Ok(())
}

/// The hash of a password in PHC string format, with its own salt and parameters.
pub fn hash(password: &[u8], cost: Cost) -> Result<String, Invalid> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None)
        .map_err(|error| Invalid(format!("the Argon2 settings are wrong: {error}")))?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: Result<PasswordHash, _> = hasher.hash_password(password);
    hash.map(|hash| hash.to_string())
        .map_err(|error| Invalid(error.to_string()))
}

/// Whether a password has a hash. One that is malformed, or that asks for far more than new ones cost, is wrong.
pub fn verify(password: &[u8], hash: &str, cost: Cost) -> Result<bool, Invalid> {
    let malformed = |error: &dyn std::fmt::Display| Invalid(format!("malformed password hash: {error}"));
    let hash = PasswordHash::new(hash).map_err(|error| malformed(&error))?;
    let params = Params::try_from(&hash).map_err(|error| malformed(&error))?;
    if params.m_cost() > cost.memory_kib.saturating_mul(MEMORY_FACTOR_MAX) {
        return Err(malformed(&format!("it asks for {} KiB", params.m_cost())));
    }
    match Argon2::default().verify_password(password, &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(malformed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost {
        memory_kib: 64,
        passes: 1,
    };

    #[test]
    fn a_password_has_its_hash_and_no_other() {
        let hashed = hash(b"secret", CHEAP).unwrap();
        assert!(hashed.starts_with("$argon2id$"));
        assert_eq!(verify(b"secret", &hashed, CHEAP), Ok(true));
        assert_eq!(verify(b"other", &hashed, CHEAP), Ok(false));
        assert_ne!(hash(b"secret", CHEAP).unwrap(), hashed, "each has a salt of its own");
    }

    #[test]
    fn a_hash_that_asks_for_too_much_is_malformed() {
        let dear = Cost {
            memory_kib: 64 * 16,
            ..CHEAP
        };
        let hashed = hash(b"secret", dear).unwrap();
        assert!(verify(b"secret", &hashed, CHEAP).is_err());
        assert!(verify(b"secret", "nonsense", CHEAP).is_err());
    }
}
