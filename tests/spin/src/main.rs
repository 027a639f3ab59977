//! `spin-stand-in up`, with the arguments of `spin up` that tests use. It refuses to know how an application is run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use spin_stand_in::application::{Application, Options};
use spin_stand_in::manifest::Manifest;
use spin_stand_in::server;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Runs Spin applications where Spin cannot be installed.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts an application, until it is told to end.
    Up(Up),
}

#[derive(Args)]
struct Up {
    /// The manifest, or a folder with a `spin.toml`.
    #[arg(short = 'f', long = "from", visible_alias = "file", default_value = "spin.toml")]
    from: PathBuf,
    /// Where to listen; the port 0 takes a free one.
    #[arg(long, env = "SPIN_HTTP_LISTEN_ADDR", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// The value of a variable, as `name=value`.
    #[arg(long = "variable", value_parser = read_variable)]
    variables: Vec<(String, String)>,
    /// An environment variable of all components, as `NAME=value`.
    #[arg(short = 'e', long = "env", value_parser = read_variable)]
    environment: Vec<(String, String)>,
    /// Drops what components write.
    #[arg(short, long)]
    quiet: bool,
    /// The requests of an instance in all.
    #[arg(long, default_value_t = 128)]
    max_instance_reuse_count: usize,
    /// The requests of an instance at a time.
    #[arg(long, default_value_t = 16)]
    max_instance_concurrent_reuse_count: usize,
    /// A folder of this user alone for compiled components; Spin has none.
    #[arg(long, env = "STAND_IN_CACHE", hide = true)]
    cache: Option<PathBuf>,
    /// How many seconds an instance without requests is kept, or milliseconds with `ms`.
    #[arg(long, default_value = "1s", value_parser = read_duration)]
    idle_instance_timeout: Duration,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Command::Up(up) = Cli::parse().command;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = up.run() => ended,
        _ = interrupted.recv() => Ok(()),
        _ = terminated.recv() => Ok(()),
    }
}

impl Up {
    async fn run(self) -> Result<()> {
        let mut manifest = Manifest::read(&self.from)?;
        for component in manifest.components.values_mut() {
            component.environment.extend(self.environment.iter().cloned());
        }
        let mut options = Options {
            variables: BTreeMap::from_iter(self.variables),
            heard: !self.quiet,
            cache: self.cache,
            ..Options::default()
        };
        options.reuse.requests = self.max_instance_reuse_count;
        options.reuse.at_a_time = self.max_instance_concurrent_reuse_count;
        options.reuse.idle = self.idle_instance_timeout;
        let routes: Vec<String> = manifest
            .routes
            .list()
            .map(|(path, component)| format!("  {component}: {path}"))
            .collect();
        // Compiling takes a while, and the signals must be heard meanwhile.
        let application = tokio::task::spawn_blocking(move || Application::load(manifest, &options)).await??;
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("unable to listen on {}", self.listen))?;
        // In one piece: who waits for the first line may go away after it.
        let said = format!(
            "Serving http://{}\nAvailable Routes:\n{}\n",
            listener.local_addr()?,
            routes.join("\n")
        );
        let mut out = std::io::stdout();
        out.write_all(said.as_bytes())?;
        out.flush()?;
        server::serve(Arc::new(application), listener).await
    }
}

fn read_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be `name=value`")?;
    if value.starts_with('@') {
        return Err("this stand-in takes no values from files".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn read_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis(1)),
        None => (text.strip_suffix('s').unwrap_or(text), Duration::from_secs(1)),
    };
    let number: u32 = number.parse().map_err(|error| format!("{error}"))?;
    Ok(unit * number)
}
