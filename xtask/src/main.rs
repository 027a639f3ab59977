//! The project's own build commands: `cargo xtask COMMAND`. A component is built for WebAssembly and the host for
//! this machine; cargo builds either, and this ties them together. It refuses to know what is built.

mod bench;
mod bot;
mod bundle;
mod cargo;
mod cluster;
mod components;
mod mysql;
mod packages;
mod profile;
mod section;
mod soak;
mod spin;
mod workspace;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use workspace::{Failure, Workspace};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  components      build the components into target/components, with the text of their WIT
  bundle          components, and the folder that the binary is built around: target/bundle
  spin            components, each composed with an edge and the adapters for Spin: target/spin, which spin.toml names
  build           bundle, and the binary: target/release/mpim
  up [ARGS]       build, and start it: mpim up ARGS
  cluster N       build, and start N nodes on a private Redis and MariaDB, on 127.0.0.1:7080 and the ports after it
  fixtures        build the guests that tests and benchmarks run into target/fixtures, all but the bot
  bot             build the component in Python into target/fixtures/bot.wasm, with tools that it gets from PyPI;
                  installs python3-venv by apt where it is missing and it may
  bench [NAME]    build, and measure everything, or what is named: JSON and a page with plots in target/bench
  test [ARGS]     spin, bundle, the guests that the tests run, the bot among them, and the tests of the workspace: cargo
                  test ARGS. Without ARGS the stories of clients once more, with their functions on a stand-in for Spin,
                  and on `spin` itself where it is on the PATH. Installs redis-server, mariadb-server and python3-venv by
                  apt where they are missing and it may
  mysql           bundle, and what the tests ask of MySQL itself, on the server that MPIM_MYSQLD names: without it that of
                  Debian's unstable release, unpacked into target/mysql
  soak [--minutes N] [STORY]
                  as test, but the stories of clusters alone, again and again with new seeds, for 10 minutes unless
                  said otherwise; then a table. MPIM_SOAK=N makes each story N times as long

exit codes: 0 done, 1 failed, 2 wrong usage";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest)),
        None => ("", arguments.as_slice()),
    };
    let done = match command {
        "components" => components(),
        "bundle" => bundle().map(|_| ()),
        "spin" => compose(),
        "build" => build().map(|_| ()),
        "up" => up(rest),
        "cluster" => run_cluster(rest),
        "test" => test(rest),
        "fixtures" => fixtures(),
        "bot" => bot(),
        "bench" => run_benches(rest),
        "mysql" => packages::ensure_servers()
            .and_then(|()| bundle())
            .and_then(|workspace| mysql::test(&workspace)),
        "soak" => match soak::Soak::read(rest) {
            Some(soak) => packages::ensure_servers()
                .and_then(|()| bundle())
                .and_then(|workspace| soak.run(&workspace)),
            None => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        },
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn components() -> Result<(), Failure> {
    components::build(&Workspace::here()?)
}

fn fixtures() -> Result<(), Failure> {
    components::build_fixtures(&Workspace::here()?)
}

fn bot() -> Result<(), Failure> {
    bot::build(&Workspace::here()?)
}

fn compose() -> Result<(), Failure> {
    let workspace = Workspace::here()?;
    components::build(&workspace)?;
    spin::compose(&workspace)
}

fn bundle() -> Result<Workspace, Failure> {
    let workspace = Workspace::here()?;
    components::build(&workspace)?;
    bundle::lay_out(&workspace)?;
    Ok(workspace)
}

fn build() -> Result<Workspace, Failure> {
    let workspace = bundle()?;
    // With the features that the whole workspace asks of its dependencies, so that most of them are those of the tests.
    cargo::run(&workspace, &["build", "--release", "--workspace", "--bin", "mpim"])?;
    Ok(workspace)
}

/// The server takes the place of this process, so that signals reach it.
fn up(arguments: &[String]) -> Result<(), Failure> {
    let workspace = build()?;
    let binary = workspace.artefacts().join("release/mpim");
    let error = Command::new(&binary).arg("up").args(arguments).exec();
    Err(Failure::of(&binary, &error))
}

fn run_cluster(arguments: &[String]) -> Result<(), Failure> {
    packages::ensure_servers()?;
    cluster::run(&build()?, arguments.first().map_or("3", String::as_str))
}

fn run_benches(names: &[String]) -> Result<(), Failure> {
    packages::ensure_servers()?;
    let workspace = build()?;
    components::build_fixtures(&workspace)?;
    cargo::run(
        &workspace,
        &["build", "--release", "--workspace", "--bin", "bench-native"],
    )?;
    bench::run(&workspace, names)
}

fn test(arguments: &[String]) -> Result<(), Failure> {
    packages::ensure_servers()?;
    packages::ensure_python()?;
    let workspace = bundle()?;
    components::build_fixtures(&workspace)?;
    bot::build(&workspace)?;
    spin::compose(&workspace)?;
    // Whoever asks for some tests gets those.
    if arguments.is_empty() {
        spin::tell_all(&workspace)?;
    }
    let mut all = vec!["test", "--release", "--workspace"];
    all.extend(arguments.iter().map(String::as_str));
    cargo::run(&workspace, &all)
}
