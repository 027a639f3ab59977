//! Logins: a connection and its session by token, and a login by password, whose hash is slow on purpose.

use std::time::Duration;

use clap::Args;
use client::accounts::patiently;
use client::address::Address;
use client::params;
use client::records::Grant;
use client::socket::Client;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use crate::account::Account;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::latencies::Latencies;
use crate::process::allow_files;
use crate::quiet::Quiet;
use crate::record::Point;
use crate::subject::{MOST_REGISTERED, Subject};
use crate::terms::Terms;

/// Connections that are opened and logged in: by token, and by password.
///
/// By token, the bearer comes with the upgrade, and a login counts, and has taken its time, once the server has told its
/// functions of the connection and serves it; all are held until the last is there, and then ended by closes that are
/// answered, which is told apart. By password, latency counts to the answer, and each connection ends after it; an account
/// logs in at most ten times in ten seconds, as the bundled application allows.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Logins by token of a run; 0 leaves them out.
    #[arg(long, value_name = "N", default_value_t = 8000)]
    tokens: u32,
    /// Logins by password of a run, each of an account of its own; 0 leaves them out.
    #[arg(long, value_name = "N", default_value_t = 100)]
    passwords: u32,
    /// Logins that are under way at a time, one number after the other.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "16,64")]
    abreast: Vec<usize>,
    #[command(flatten)]
    terms: Terms,
}

/// Files that a process has open besides.
const OTHER_FILES: u64 = 500;

/// Measures and reports.
pub(crate) async fn run(login: Login) -> Result<(), Failure> {
    let terms = &login.terms;
    allow_files(u64::from(login.tokens) + OTHER_FILES)?;
    let of_tokens = match terms.is_embedded() {
        true => login.tokens,
        // Registered one by one: each has several of the connections.
        false => login.tokens.min(MOST_REGISTERED / 5),
    };
    let subject = Subject::begin(terms, of_tokens + login.passwords, |_, _| Ok(())).await?;
    let settings = Figures::default().with("accounts", f64::from(of_tokens));
    let mut record = terms.record("login", settings);
    // A login by password ends other sessions of its account.
    let (by_token, by_password) = subject
        .accounts
        .split_at_checked(of_tokens as usize)
        .ok_or_else(|| Failure::other("too few accounts"))?;
    for abreast in &login.abreast {
        let point = |way: &str, count: u32| {
            let point = Point::named(format!("{way}, {abreast} at a time"));
            point.with("logins", f64::from(count))
        };
        if login.tokens > 0 {
            let once = async |_: &str| tokens(&subject, *abreast, login.tokens as usize, by_token).await;
            record
                .rows
                .push(terms.runs.row(point("by token", login.tokens), once).await?);
        }
        if login.passwords > 0 {
            let once = async |_: &str| passwords(&subject, *abreast, by_password).await;
            let point = point("by password", login.passwords);
            record.rows.push(terms.runs.row(point, once).await?);
        }
    }
    terms.runs.tell(record)
}

async fn tokens(subject: &Subject, abreast: usize, count: usize, accounts: &[Account]) -> Result<Figures, Failure> {
    let (meter, begun) = (subject.meter(), Instant::now());
    let opening = stream::iter(accounts.iter().cycle().take(count)).map(|account| async {
        let begun = Instant::now();
        let mut quiet = Quiet::connect(subject.address(), &account.grant.token, 0).await?;
        quiet.served().await?;
        Ok::<_, Failure>((quiet, begun.elapsed()))
    });
    let opened: Vec<_> = opening.buffer_unordered(abreast.max(1)).try_collect().await?;
    let took = begun.elapsed().as_secs_f64();
    let mut latencies = Latencies::default();
    opened.iter().for_each(|(_, took)| latencies.record(*took));
    let mut figures = Figures::default().with("logins_per_s", count as f64 / took.max(1e-9));
    figures.latencies("", &latencies);
    meter.cpu(&mut figures, count as f64);

    let (meter, begun) = (subject.meter(), Instant::now());
    let ending = stream::iter(opened).map(|(quiet, _)| async { Ok::<_, Failure>(quiet.leave().await?) });
    let ended: Vec<()> = ending.buffer_unordered(abreast.max(1)).try_collect().await?;
    let took = begun.elapsed().as_secs_f64();
    figures.set("ends_per_s", ended.len() as f64 / took.max(1e-9));
    let mut spent = Figures::default();
    meter.cpu(&mut spent, count as f64);
    if let Some(us) = spent.of("server_cpu_us") {
        figures.set("end_server_cpu_us", us);
    }
    Ok(figures)
}

async fn passwords(subject: &Subject, abreast: usize, accounts: &[Account]) -> Result<Figures, Failure> {
    let (meter, begun) = (subject.meter(), Instant::now());
    let entering = stream::iter(accounts).map(|account| enter(subject.address(), account));
    let entered: Vec<_> = entering.buffer_unordered(abreast.max(1)).try_collect().await?;
    let took = begun.elapsed().as_secs_f64();
    let mut latencies = Latencies::default();
    entered.iter().for_each(|took| latencies.record(*took));
    let mut figures = Figures::default().with("logins_per_s", entered.len() as f64 / took.max(1e-9));
    figures.latencies("", &latencies);
    meter.cpu(&mut figures, entered.len() as f64);
    Ok(figures)
}

async fn enter(address: &Address, account: &Account) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let mut client = Client::connect(address).await?;
    let login = params::Login {
        name: &account.name,
        password: &account.password,
        device: "bench",
        device_class: "bench",
    };
    let _: Grant = patiently(&mut client, "login.login", &login).await?;
    let took = begun.elapsed();
    client.close().await;
    Ok(took)
}
