//! The command line of `mpim`: what each command takes, and the commands that are clients of a server. It
//! refuses to know how a server works: `up` and `migrate` are read here and done elsewhere.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use mpim::server::Elsewhere;

/// The last lines of every help text. A macro, because `concat!` takes literals only.
macro_rules! exit_codes {
    () => {
        "Exit codes: 0 done, 1 failed or found differences, 2 wrong usage, 3 cannot reach the server, \
         4 refused by the server, 5 the server ended the session"
    };
}

mod accounts;
mod address;
mod bench;
mod call;
mod chat;
mod client;
mod cursor;
mod error;
mod functions;
mod http;
mod latencies;
mod params;
mod replay;
mod text;
mod wire;

use error::{Error, KICKED};

const DEFAULT_URL: &str = "http://127.0.0.1:7080";
const DEFAULT_DATA: &str = "./data";

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
    Replay(replay::Replay),
    Bench(bench::Bench),
}

/// Starts a server: the application of the manifest, on the storage that it names.
///
/// Without a manifest the bundled application runs on embedded storage in the data folder. The first interrupt ends
/// the server in order: it takes no new calls, and finishes those that it has.
///
/// With `--functions none --remote URL` it holds the connections of clients, and the functions run elsewhere: on another
/// server, or on Spin. It calls them over HTTP as their operator, and they reach its clients through the Redis that both
/// share.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim up\n",
    "  mpim up --listen 0.0.0.0:7080 --data /var/lib/mpim --app spin.toml\n",
    "  mpim up --mysql mysql://mpim@db.example/mpim --redis redis://cache.example\n",
    "  MPIM_REMOTE_TOKEN=... mpim up --functions none --remote http://functions.example:3000 \\\n",
    "    --mysql mysql://mpim@db.example/mpim --redis redis://cache.example\n\n",
    exit_codes!()
))]
pub(crate) struct Up {
    /// Where to listen for clients.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7080")]
    pub(crate) listen: SocketAddr,
    /// Where the server keeps its files.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,
    /// The name of this node, unique in its cluster; one made at the first start when absent.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Which functions of the manifest run here.
    #[arg(long, value_name = "WHICH", default_value = "all", requires_if("none", "remote"))]
    functions: Which,
    /// Where the functions run, when that is not here: http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
    /// The token of the operator there; the one of this server when absent.
    #[arg(long, value_name = "TOKEN", env = "MPIM_REMOTE_TOKEN", hide_env_values = true)]
    remote_token: Option<String>,
    /// The token of the operator of this server; one made at the first start, in DATA/operator.token, when absent.
    #[arg(long, value_name = "TOKEN", env = "MPIM_OPERATOR_TOKEN", hide_env_values = true)]
    pub(crate) operator_token: Option<String>,
    #[command(flatten)]
    pub(crate) storage: Storage,
}

/// Some functions of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// All of them.
    All,
    /// None: they run elsewhere.
    None,
}

impl Up {
    /// What the rules of single arguments do not say: functions that run here are nowhere else.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        if self.functions == Which::None || self.remote.is_none() {
            return Ok(());
        }
        Err(Cli::command().error(
            ErrorKind::ArgumentConflict,
            "--remote is for functions that do not run here: say so with --functions none",
        ))
    }

    /// Where the functions run, when that is not here.
    pub(crate) fn elsewhere(&self) -> Option<Elsewhere> {
        self.remote.clone().map(|url| Elsewhere {
            url,
            token: self.remote_token.clone(),
        })
    }
}

/// Where the server keeps what it has.
#[derive(Debug, Args)]
pub(crate) struct Storage {
    /// The manifest; the bundled application when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) app: Option<PathBuf>,
    /// A MySQL or MariaDB database that nodes share, instead of the embedded store.
    #[arg(long, value_name = "URL", env = "MPIM_MYSQL_URL", hide_env_values = true)]
    pub(crate) mysql: Option<String>,
    /// A Redis that nodes share, for cache, leases and queues, instead of this process.
    #[arg(long, value_name = "URL", env = "MPIM_REDIS_URL", hide_env_values = true)]
    pub(crate) redis: Option<String>,
}

/// Brings the database to the newest schema, and does nothing when it is there.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim migrate --data /var/lib/mpim\n",
    "  mpim migrate --mysql mysql://mpim@db.example/mpim\n\n",
    exit_codes!()
))]
pub(crate) struct Migrate {
    /// Where the server keeps its files.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) storage: Storage,
}

/// Runs a client command; what went wrong is told on the standard error.
pub(crate) async fn run_client(command: ClientCommand) -> ExitCode {
    let done = match command {
        ClientCommand::Chat(chat) => chat::run(chat).await,
        ClientCommand::Call(call) => call::run(call).await,
        ClientCommand::Functions(functions) => functions::run(functions).await,
        ClientCommand::Replay(replay) => replay::run(replay).await,
        ClientCommand::Bench(bench) => bench::run(bench).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // When the standard error is closed, the code still tells.
            let _ = writeln!(io::stderr(), "mpim: {}", text::clean(&failure.message, true));
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// The documented exit codes; 2 is clap's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Failed = 1,
    Unreachable = 3,
    Refused = 4,
    Kicked = 5,
}

/// Why a client command did not do what it was asked.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure that is not the server's.
    fn other(message: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Failed,
            message: message.to_string(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Unreachable { .. } => Exit::Unreachable,
            Error::Refused(_) => Exit::Refused,
            Error::Closed(close) if close.code == Some(KICKED) => Exit::Kicked,
            Error::Closed(_) | Error::Unreadable(_) | Error::Late(_) => Exit::Failed,
        };
        Self {
            exit,
            message: error.to_string(),
        }
    }
}

/// Prints a line; a reader that went away is a failure, not a panic.
fn print(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::other(format!("cannot print: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::error::{Close, Error, Refusal};
    use super::{Cli, Command, Exit, Failure};

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
            up.check().map(|()| up.elsewhere())
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

    #[test]
    fn failures_have_the_documented_exit_codes() {
        let exit = |error: Error| Failure::from(error).exit as u8;
        let closed = |code| {
            Error::Closed(Close {
                code,
                reason: String::new(),
            })
        };
        let refusal = Refusal {
            what: String::new(),
            code: "not_found".to_owned(),
            message: String::new(),
            retryable: false,
        };
        assert_eq!(
            exit(Error::Unreachable {
                address: String::new(),
                reason: String::new()
            }),
            3
        );
        assert_eq!(exit(Error::Refused(refusal)), 4);
        assert_eq!(exit(closed(Some(4001))), Exit::Kicked as u8);
        assert_eq!(exit(closed(Some(1001))), 1);
    }
}
