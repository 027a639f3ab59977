//! `mpim bench`: measures a server, one of its own or one that runs. A person reads the text, a machine `--json`.

mod pair;
mod process;
mod send;

use clap::{Args, Subcommand};

use super::Failure;

/// Measures a server.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim bench send\n",
    "  mpim bench send --rate 500 --json\n\n",
    exit_codes!()
))]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(Debug, Subcommand)]
enum What {
    Send(send::Send),
}

/// Measures and reports.
pub(super) async fn run(bench: Bench) -> Result<(), Failure> {
    match bench.what {
        What::Send(send) => send::run(send).await,
    }
}
