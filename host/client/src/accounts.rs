//! Accounts and connections of those who try a server: what a replay and the benchmarks make before they begin.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::address::Address;
use crate::error::Error;
use crate::params::{Login, Registration, Resume};
use crate::records::{Grant, Int};
use crate::socket::Client;

/// How long a server may be too full during the preparations.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(250);

/// Makes an account, unless it is there, and logs in.
pub async fn enter(address: &Address, name: &str, password: &str, device: &str) -> Result<Grant, Error> {
    let mut client = Client::connect(address).await?;
    match patiently::<_, Int>(&mut client, "login.register", &Registration { name, password }).await {
        // An attempt before this one was accepted, though its answer was an error.
        Err(Error::Refused(refusal)) if refusal.code == "already_exists" => {}
        other => {
            other?;
        }
    }
    let login = Login {
        name,
        password,
        device,
        device_class: device,
    };
    let grant = patiently(&mut client, "login.login", &login).await?;
    client.close().await;
    Ok(grant)
}

/// A connection of the session of this token.
pub async fn resume(address: &Address, token: &str) -> Result<Client, Error> {
    let mut client = Client::connect(address).await?;
    let _: Value = client.call("connection.resume", &Resume { token }).await?;
    Ok(client)
}

/// Calls, and calls again while the server is too full.
pub async fn patiently<P: Serialize, R: DeserializeOwned>(
    client: &mut Client,
    method: &str,
    params: &P,
) -> Result<R, Error> {
    let begun = Instant::now();
    loop {
        match client.call(method, params).await {
            Err(Error::Refused(refusal)) if refusal.retryable && begun.elapsed() < PATIENCE => sleep(PAUSE).await,
            other => return other,
        }
    }
}
