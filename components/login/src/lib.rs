//! Login: accounts, sessions, and the tokens that stand for them.
//!
//! A session belongs to a user and a device, and is live until it is ended or its time has come. What
//! a new login does to other sessions is a policy of the service. Refuses to know sockets: those whose
//! session was ended are told and closed by a notification, and found by the check of the gateway
//! where that was lost.

#[expect(missing_docs, reason = "generated from WIT, where the documentation is")]
mod bindings;
mod credentials;
mod rules;
mod store;
#[cfg(test)]
mod stories;
mod token;

use bindings::exports::mpim::im::login;
pub use bindings::exports::mpim::im::login::{Grant, Guest as Login, Session};
use bindings::exports::mpim::im::session_check;
use guest::telemetry::{Level, log};
use guest::{Audience, Caller, Connection, Error, Identity, Kick, Priority};

use rules::Policy;
use store::NewSession;

const DEFAULT_SESSION_TTL_MS: u64 = 30 * 24 * 60 * 60 * 1000;
const DEFAULT_MOST_SESSIONS: u64 = 100;

/// Why a session was ended: stable texts that clients may compare.
mod reason {
    pub(crate) const REPLACED: &str = "replaced-by-new-login";
    pub(crate) const LOGGED_OUT: &str = "logged-out";
    pub(crate) const REVOKED: &str = "revoked";
}

/// The component: see `wit/im/login.wit` for what each method promises.
pub struct Component;

impl login::Guest for Component {
    async fn register(name: String, password: String) -> Result<u64, Error> {
        let name_key = rules::name_key(&name)?;
        rules::check_password(&password)?;
        guest::rate_limit::acquire("register", "all", 1)?;
        let password_hash = guest::password::hash(password).await?;
        let user = guest::ids::next();
        store::create_account(user, &name, name_key, password_hash, guest::now_ms()).await?;
        Ok(user)
    }

    async fn login(
        name: String,
        password: String,
        device: String,
        device_class: Option<String>,
    ) -> Result<Grant, Error> {
        let device_class = device_class.unwrap_or_else(|| rules::DEFAULT_DEVICE_CLASS.to_owned());
        rules::check_device("device", &device)?;
        rules::check_device("device class", &device_class)?;
        let policy = policy()?;
        let account = credentials::authenticate(&name, password).await?;

        let token = token::make()?;
        let new = new_session(device, device_class, &token);
        let most_sessions = guest::config::value_or("max-sessions", DEFAULT_MOST_SESSIONS);
        let replaced = store::open_session(&account, &new, policy, most_sessions).await?;
        tell_ended(replaced, reason::REPLACED, Some(new.device_class)).await;
        Ok(Grant {
            user: account.user,
            session: new.id,
            token,
            expires_at: new.expires_at,
        })
    }

    async fn verify(token: String) -> Result<Identity, Error> {
        let mut verified = Self::batch_verify(vec![token]).await?;
        verified.pop().unwrap_or_else(|| Err(unknown_token()))
    }

    async fn batch_verify(calls: Vec<String>) -> Result<Vec<Result<Identity, Error>>, Error> {
        guest::check_batch(calls.len())?;
        let hash = |token: &String| token::is_well_formed(token).then(|| token::hash(token));
        let hashes: Vec<Option<String>> = calls.iter().map(hash).collect();
        let identities = store::identities(hashes.iter().flatten(), guest::now_ms()).await?;
        let known = |hash: &Option<String>| identities.get(hash.as_ref()?).cloned();
        Ok(hashes
            .iter()
            .map(|hash| known(hash).ok_or_else(unknown_token))
            .collect())
    }

    async fn logout(caller: Caller) -> Result<(), Error> {
        store::end_session(caller.user, caller.session, guest::now_ms()).await?;
        tell_ended(vec![caller.session], reason::LOGGED_OUT, None).await;
        Ok(())
    }

    async fn sessions(caller: Caller) -> Result<Vec<Session>, Error> {
        store::sessions(caller.user, caller.session, guest::now_ms()).await
    }

    async fn revoke(caller: Caller, session: u64) -> Result<(), Error> {
        if !store::end_session(caller.user, session, guest::now_ms()).await? {
            return Err(Error::not_found("the caller has no such session"));
        }
        tell_ended(vec![session], reason::REVOKED, None).await;
        Ok(())
    }
}

impl session_check::Guest for Component {
    async fn check_sessions(connections: Vec<Connection>) -> Result<Vec<u64>, Error> {
        let live = store::live_sessions(&rules::sessions_of(&connections), guest::now_ms()).await?;
        Ok(rules::ended_connections(&connections, &live))
    }
}

fn unknown_token() -> Error {
    Error::unauthenticated("the token is unknown, expired or revoked")
}

/// The policy of the service. A text that is none is refused rather than read as the default:
/// whoever wrote it meant something else.
fn policy() -> Result<Policy, Error> {
    let Some(text) = guest::config::value("policy") else {
        return Ok(Policy::Kick);
    };
    text.parse().map_err(|()| {
        log(
            Level::Error,
            "the setting policy is none of kick, refuse and allow",
            &[("policy", text)],
        );
        Error::internal("internal error")
    })
}

fn new_session(device: String, device_class: String, token: &str) -> NewSession {
    let created_at = guest::now_ms();
    let ttl_ms = guest::config::value_or("session-ttl-ms", DEFAULT_SESSION_TTL_MS);
    NewSession {
        id: guest::ids::next(),
        device,
        device_class,
        token_hash: token::hash(token),
        created_at,
        expires_at: rules::expires_at(created_at, ttl_ms),
    }
}

/// Tells the connections of ended sessions why, and closes them.
async fn tell_ended(sessions: Vec<u64>, reason: &str, by_device: Option<String>) {
    if sessions.is_empty() {
        return;
    }
    let to = Audience {
        sessions,
        priority: Priority::Urgent,
        close: Some(reason.to_owned()),
        ..Audience::nobody()
    };
    guest::hint(
        "kicked",
        guest::notify::kicked(
            to,
            Kick {
                reason: reason.to_owned(),
                by_device,
            },
        )
        .await,
    );
}
