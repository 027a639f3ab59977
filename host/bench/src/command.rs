//! `mpim bench`: measures a server, one of its own or one that runs. A person reads the text, a machine `--json`.

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::{group, http, idle, login, offline, parts, presence, profile, report, scale, send, start};

/// How the command is used, for its help text.
pub const EXAMPLES: &str = "\
Examples:
  mpim bench send
  mpim bench host
  mpim bench http --connections 1,32
  mpim bench send --rate 200,500,1000 --json > send.json
  mpim bench send --up '--mysql mysql://mpim@db.example/mpim' --cpu-of mariadb=4711
  mpim bench report send.json -o report.html";

/// Measures a server.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(Debug, Subcommand)]
enum What {
    Host(parts::Host),
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
pub async fn run(bench: Bench) -> Result<(), Failure> {
    match bench.what {
        What::Host(host) => parts::run(host).await,
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
