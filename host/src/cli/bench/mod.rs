//! `mpim bench`: measures a server, one of its own or one that runs. A person reads the text, a machine `--json`.

mod figures;
mod group;
mod host;
mod http;
mod idle;
mod login;
mod machine;
mod offline;
mod pair;
mod plot;
mod presence;
mod process;
mod profile;
mod quiet;
mod record;
mod report;
mod scale;
mod seed;
mod send;
mod start;
mod subject;
mod targets;
mod terms;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};

use super::Failure;

/// Measures a server.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim bench send\n",
    "  mpim bench host\n",
    "  mpim bench http --connections 1,32\n",
    "  mpim bench send --rate 200,500,1000 --json > send.json\n",
    "  mpim bench send --up '--mysql mysql://mpim@db.example/mpim' --cpu-of mariadb=4711\n",
    "  mpim bench report send.json -o report.html\n\n",
    exit_codes!()
))]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(Debug, Subcommand)]
enum What {
    Host(host::Host),
    Http(http::Http),
    Send(send::Send),
    Offline(offline::Offline),
    Login(login::Login),
    Group(group::Group),
    Presence(presence::Presence),
    Idle(idle::Idle),
    Scale(scale::Scale),
    Start(start::Start),
    Profile(profile::Profile),
    Report(report::Report),
}

/// Measures and reports.
pub(super) async fn run(bench: Bench) -> Result<(), Failure> {
    match bench.what {
        What::Host(host) => host::run(host).await,
        What::Http(http) => http::run(http).await,
        What::Send(send) => send::run(send).await,
        What::Offline(offline) => offline::run(offline).await,
        What::Login(login) => login::run(login).await,
        What::Group(group) => group::run(group).await,
        What::Presence(presence) => presence::run(presence).await,
        What::Idle(idle) => idle::run(idle).await,
        What::Scale(scale) => scale::run(scale).await,
        What::Start(start) => start::run(start).await,
        What::Profile(profile) => profile::run(&profile),
        What::Report(report) => report::run(&report),
    }
}

/// Since the epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A name that nothing else has, so that runs on one server do not meet.
fn unique() -> String {
    format!("{:x}-{:x}", std::process::id(), now().as_nanos())
}
