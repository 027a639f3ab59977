//! The command line of `mpim`: what there is to ask for, and the commands that are clients of a server. It
//! refuses to know how a server works: `up` and `migrate` are read here and done by the server.

use std::io::{self, Write};
use std::process::ExitCode;

use bench::replay;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use client::text::clean;

use crate::failure::Failure;
use crate::help::exit_codes;
use crate::up::{Migrate, Up, Which};
use crate::{call, chat, functions};

/// An instant-messaging backend whose every capability is a WebAssembly component.
#[derive(Debug, Parser)]
#[command(version, after_help = concat!(
    "Example, in two terminals:\n",
    "  mpim up\n",
    "  mpim chat --user ann\n\n",
    exit_codes!()
))]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `mpim` can be asked to do. The help of a command is what is said of its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(Up),
    Migrate(Migrate),
    #[command(flatten)]
    Client(ClientCommand),
}

/// The commands that talk to a running server.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    Chat(chat::Chat),
    Call(call::Call),
    Functions(functions::Functions),
    #[command(after_help = with_exit_codes(replay::EXAMPLES))]
    Replay(replay::Replay),
    #[command(after_help = with_exit_codes(bench::command::EXAMPLES))]
    Bench(bench::command::Bench),
}

impl Cli {
    /// What the rules of single arguments do not say: functions run here or are remote, and not both.
    pub(crate) fn check(up: &Up) -> Result<(), clap::Error> {
        let (kind, message) = match (&up.functions, &up.remote) {
            (Which::All, None) | (Which::Some(_), Some(_)) => return Ok(()),
            (Which::All, Some(_)) => (
                ErrorKind::ArgumentConflict,
                "--remote is for functions that do not run here: say which do with --functions",
            ),
            (Which::Some(_), None) => (
                ErrorKind::MissingRequiredArgument,
                "where do the functions run that do not run here? say so with --remote",
            ),
        };
        Err(Self::command().error(kind, message))
    }
}

/// The last lines of a help text that begins with how a command is used.
fn with_exit_codes(examples: &str) -> String {
    format!(concat!("{}\n\n", exit_codes!()), examples)
}

/// Runs a client command; what went wrong is told on the standard error.
pub(crate) async fn run_client(command: ClientCommand) -> ExitCode {
    let done = match command {
        ClientCommand::Chat(chat) => chat::run(chat).await,
        ClientCommand::Call(call) => call::run(call).await,
        ClientCommand::Functions(functions) => functions::run(functions).await,
        ClientCommand::Replay(replay) => replay::run(replay).await.map_err(Failure::from),
        ClientCommand::Bench(bench) => bench::command::run(bench).await.map_err(Failure::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // When the standard error is closed, the code still tells.
            let _ = writeln!(io::stderr(), "mpim: {}", clean(&failure.message, true));
            ExitCode::from(failure.exit as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_documents_an_example_and_its_exit_codes() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains("Example") && help.contains("Exit codes: 0 done"),
                "{}",
                command.get_name()
            );
        }
    }

    #[test]
    fn up_needs_no_argument() -> Result<(), clap::Error> {
        let cli = Cli::try_parse_from(["mpim", "up"])?;
        let Command::Up(up) = cli.command else {
            return Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand));
        };
        assert_eq!((up.listen.port(), up.storage.app), (7080, None));
        Ok(())
    }

    #[test]
    fn functions_run_here_or_elsewhere_and_not_both() -> Result<(), clap::Error> {
        let up = |arguments: &[&str]| {
            let Command::Up(up) = Cli::try_parse_from([&["mpim", "up"], arguments].concat())?.command else {
                return Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand));
            };
            Cli::check(&up).map(|()| up.remote_functions())
        };
        assert!(up(&[])?.is_none());
        let remote = ["--remote", "http://127.0.0.1:1", "--remote-token", "secret"];
        let there = up(&[&["--functions", "none"], &remote[..]].concat())?;
        let there = there.map(|there| (there.url, there.token));
        assert_eq!(
            there,
            Some(("http://127.0.0.1:1".to_owned(), Some("secret".to_owned())))
        );
        for wrong in [&["--functions", "none"][..], &remote[..], &["--functions", "some"]] {
            assert_eq!(up(wrong).err().map(|error| error.exit_code()), Some(2), "{wrong:?}");
        }
        Ok(())
    }
}
