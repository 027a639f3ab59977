//! Applications on Spin, or on the stand-in that runs them where Spin cannot be installed.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use servers::Group;
use servers::mariadb::Mariadb;

use super::manifest::root;
use super::node::{compiled, mpim};

/// The secret of the operator of these applications.
pub const OPERATOR_TOKEN: &str = "operator-of-these-stories";

/// What runs an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// A Wasmtime that offers what Spin does.
    StandIn,
    /// The `spin` on the PATH.
    Spin,
}

/// An application that answers, until it is dropped.
pub struct Application {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    // `spin up` starts others: with its group they end before the folder of their log.
    group: Option<Group>,
    log: PathBuf,
}

impl Application {
    /// Starts the application of a manifest for Spin on its servers, with more arguments of `spin up`. The schema must be
    /// there.
    pub fn start(platform: Platform, manifest: &Path, mysql: &str, redis: &str, more: &[&str]) -> Self {
        let port = servers::free_port();
        let mut command = match platform {
            Platform::StandIn => Command::new(beside_the_binary("spin-stand-in")),
            Platform::Spin => Command::new("spin"),
        };
        command
            .env_remove("RUST_BACKTRACE")
            .env("STAND_IN_CACHE", compiled())
            // Not as arguments, which everybody on the machine can read.
            .env("SPIN_VARIABLE_MYSQL_URL", mysql)
            .env("SPIN_VARIABLE_REDIS_URL", redis)
            .env("SPIN_VARIABLE_OPERATOR_TOKEN", OPERATOR_TOKEN)
            .arg("up")
            .arg("--from")
            .arg(manifest)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(more);
        let folder = servers::folder("on-spin");
        let log = folder.join("log");
        let file = std::fs::File::create(&log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let started = Group::start(&mut command, &folder);
        let mut group = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut said = BufReader::new(group.child().stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            let read = said.read_line(&mut line).expect("readable");
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(read > 0, "it did not start: {}", log());
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self {
            url: format!("http://127.0.0.1:{port}"),
            group: Some(group),
            log,
        }
    }

    /// What it has said of failures until now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        drop(self.group.take());
        if let Some(folder) = self.log.parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// An empty database on the one server of all stories, which is started with the first.
pub fn database() -> String {
    static SERVER: Mutex<Option<Mariadb>> = Mutex::new(None);
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("stories{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut server = SERVER.lock().expect("not poisoned");
    server.get_or_insert_with(Mariadb::start).url(&name)
}

/// Makes the schema in a database.
pub fn migrate(mysql: &str) {
    let migrated = mpim().args(["migrate", "--mysql", mysql]).output();
    let migrated = migrated.expect("the binary runs");
    let said = String::from_utf8_lossy(&migrated.stderr);
    assert!(migrated.status.success(), "{said}");
}

/// A program that is built with the tests of the workspace, as the binary under test is.
pub fn beside_the_binary(name: &str) -> PathBuf {
    let program = PathBuf::from(mpim().get_program()).with_file_name(name);
    let shown = program.display();
    assert!(
        program.is_file(),
        "{shown} is not built: cargo build --release --workspace"
    );
    program
}

/// The manifest of the project for Spin.
pub fn own_manifest() -> PathBuf {
    root().join("spin.toml")
}
