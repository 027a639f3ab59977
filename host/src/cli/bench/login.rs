//! Logins: a connection and its session by token, and a login by password, whose hash is slow on purpose.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::figures::Figures;
use super::record::Place;
use super::subject::{Account, Subject};
use super::terms::Terms;
use crate::cli::Failure;
use crate::cli::accounts::{patiently, resume};
use crate::cli::address::Address;
use crate::cli::client::Client;
use crate::cli::latencies::Latencies;
use crate::cli::params;
use crate::cli::wire::Grant;

/// Connections that are opened and logged in: by token, and by password.
///
/// Latency counts from the begin of the connection to the answer. Each account logs in by password at most ten times in
/// ten seconds, as the bundled application allows.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// Logins by token of a run; 0 leaves them out.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    tokens: usize,
    /// Accounts that log in by token, in turn.
    #[arg(long, value_name = "N", default_value_t = 200)]
    users: u32,
    /// Logins by password of a run, each of an account of its own; 0 leaves them out.
    #[arg(long, value_name = "N", default_value_t = 100)]
    passwords: u32,
    /// Logins that are under way at a time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    abreast: usize,
    #[command(flatten)]
    terms: Terms,
}

/// Measures and reports.
pub(super) async fn run(login: Login) -> Result<(), Failure> {
    let terms = &login.terms;
    let subject = Subject::begin(terms, login.users + login.passwords, |_, _| Ok(())).await?;
    let settings = Figures::default()
        .with("abreast", login.abreast as f64)
        .with("users", f64::from(login.users));
    let mut record = terms.record("login", settings);
    // A login by password ends other sessions of its account.
    let (by_token, by_password) = subject
        .accounts
        .split_at_checked(login.users as usize)
        .ok_or_else(|| Failure::other("too few accounts"))?;
    let kinds = [
        ("by token", login.tokens, by_token, true),
        ("by password", by_password.len(), by_password, false),
    ];
    for (name, count, accounts, token) in kinds {
        if count == 0 || accounts.is_empty() {
            continue;
        }
        let place = Place::named(name).with("logins", count as f64);
        let once = async |_: &str| once(&subject, login.abreast, count, accounts, token).await;
        record.rows.push(terms.runs.row(place, once).await?);
    }
    terms.runs.tell(record)
}

async fn once(
    subject: &Subject,
    abreast: usize,
    count: usize,
    accounts: &[Account],
    token: bool,
) -> Result<Figures, Failure> {
    let next = AtomicUsize::new(0);
    let meter = subject.meter();
    let begun = Instant::now();
    let work = async || {
        let mut latencies = Latencies::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(account) = accounts.get(number % accounts.len()).filter(|_| number < count) else {
                return Ok::<_, Failure>(latencies);
            };
            latencies.record(enter(subject.address(), account, token).await?);
        }
    };
    let mut latencies = Latencies::default();
    for worked in try_join_all((0..abreast.max(1)).map(|_| work())).await? {
        latencies.add(&worked);
    }
    let took = begun.elapsed().as_secs_f64();
    let mut figures = Figures::default().with("logins_per_s", count as f64 / took.max(1e-9));
    figures.latencies("", &latencies);
    meter.cpu(&mut figures, count as f64);
    Ok(figures)
}

async fn enter(address: &Address, account: &Account, token: bool) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let client = match token {
        true => resume(address, &account.grant.token).await?,
        false => {
            let mut client = Client::connect(address).await?;
            let login = params::Login {
                name: &account.name,
                password: &account.password,
                device: "bench",
                device_class: "bench",
            };
            let _: Grant = patiently(&mut client, "login.login", &login).await?;
            client
        }
    };
    let took = begun.elapsed();
    client.close().await;
    Ok(took)
}
