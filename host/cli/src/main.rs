//! The `mpim` binary: reads the command line and runs the host or one of its clients.
//!
//! It owns what people and scripts type and read: commands, help texts, exit codes, the terminal, and the application
//! that is bundled with it. It refuses to know how a server works (`node`), what crosses the wire (`client`) and how
//! anything is measured (`bench`); nothing is made of it.

mod bundle;
mod call;
mod chat;
mod command;
mod failure;
mod functions;
mod help;
mod print;
mod up;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use config::manifest::Source;
use node::{Chosen, Options, Server, migrate_only};

use command::{Cli, Command};
use up::{Storage, Up};

/// A call is many small allocations: names and texts of component values, frames, rows.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if let Command::Up(up) = &command
        && let Err(usage) = Cli::check(up)
    {
        usage.exit();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let code = runtime.block_on(async {
        match command {
            Command::Up(up) => up_until_interrupted(up)
                .await
                .map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS),
            Command::Migrate(migrate) => migrate_only(&migrate.data, application(migrate.storage))
                .await
                .map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS),
            Command::Client(command) => command::run_client(command).await,
        }
    });
    // A client may leave a read of the terminal behind, which never ends.
    runtime.shutdown_background();
    code
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("mpim: {error:#}");
    ExitCode::FAILURE
}

fn application(storage: Storage) -> Chosen {
    Chosen {
        source: storage.app.map_or(Source::Bundled(bundle::FILES), Source::File),
        mysql: storage.mysql,
        redis: storage.redis,
    }
}

async fn up_until_interrupted(up: Up) -> anyhow::Result<()> {
    telemetry::start();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let server = Server::start(Options {
        remote: up.remote_functions(),
        local: up.functions.local(),
        operator_token: up.operator_token,
        listen: up.listen,
        data: up.data.clone(),
        node: up.node,
        application: application(up.storage),
    })
    .await?;
    let url = format!("http://{}", server.address());
    let greeting = format!(
        "mpim serves {url} with its data in {}\nto chat, type in two other terminals:\n  mpim chat --url {url} --user ann\n  \
         mpim chat --url {url} --user bob\n",
        up.data.display()
    );
    // Whoever started it may have heard enough.
    let _ = std::io::stdout().write_all(greeting.as_bytes());
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    server.stop().await;
    Ok(())
}
