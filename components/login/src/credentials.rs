//! Whether a name and a password belong together. A stranger learns nothing else: an unknown name
//! has the same answer as a wrong password, and costs the same work.

use std::cell::OnceCell;

use guest::Error;

use crate::rules;
use crate::store::{self, Account};

thread_local! {
    static DECOY: OnceCell<String> = const { OnceCell::new() };
}

/// The account of this name, if this is its password.
pub(crate) async fn authenticate(name: &str, password: String) -> Result<Account, Error> {
    // No account can have these: the rules are public, so that a fast answer gives nothing away.
    let Ok(name_key) = rules::name_key(name) else {
        return Err(rules::denied());
    };
    if rules::check_password(&password).is_err() {
        return Err(rules::denied());
    }
    guest::rate_limit::acquire("login", &name_key, 1)?;

    let account = store::account(&name_key).await?;
    // The decoy is made before it is known whether it is needed, so that not even the first
    // login of a sandbox takes longer for an unknown name.
    let decoy = decoy_hash().await?;
    let hash = account.as_ref().map_or(decoy, |account| account.password_hash.clone());
    let belongs = guest::password::verify(password, hash).await?;
    account.filter(|_| belongs).ok_or_else(rules::denied)
}

/// A hash that the password of an unknown name is verified against, with the parameters that the
/// host uses now. Made once in a sandbox.
async fn decoy_hash() -> Result<String, Error> {
    if let Some(decoy) = DECOY.with(|decoy| decoy.get().cloned()) {
        return Ok(decoy);
    }
    let made = guest::password::hash("the password of nobody".to_owned()).await?;
    Ok(DECOY.with(|decoy| decoy.get_or_init(|| made).clone()))
}
