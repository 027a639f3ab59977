//! A server of MySQL or MariaDB that runs: where it listens, and how it is stopped, frozen and asked. How its files are
//! made and which options it has is known by who starts it.

use std::fs::File;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Watch;

/// How long a server may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a user `root` without a password and a user `app` with the password `secret`, who may do anything but what
/// an administrator may. Ends, and leaves nothing, when it is dropped.
pub struct Daemon {
    folder: PathBuf,
    port: u16,
    program: PathBuf,
    options: Vec<String>,
    process: Option<(Child, Watch)>,
}

impl Daemon {
    /// Starts a program on the files in a folder and waits until it answers.
    pub(crate) fn start(program: &Path, folder: PathBuf, port: u16, options: Vec<String>) -> Self {
        let mut server = Self {
            folder,
            port,
            program: program.to_owned(),
            options,
            process: None,
        };
        server.run();
        server
    }

    /// Where the server listens: `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where a database of the server is, for the user `app`.
    pub fn url(&self, database: &str) -> String {
        self.url_of("app:secret", database)
    }

    /// Where a database of the server is, for another user.
    pub fn url_of(&self, user: &str, database: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Kills the server as a loss of power would, but for the disk's own cache.
    pub fn kill(&mut self) {
        if let Some((mut child, watch)) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
            drop(watch);
        }
    }

    /// Starts the server on its files, on the same port, and waits until it answers.
    pub fn run(&mut self) {
        let log = File::create(self.folder.join("log")).expect("a log");
        let child = Command::new(&self.program)
            .arg("--no-defaults")
            .env("TMPDIR", &self.folder)
            .args(run_as())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let watch = Watch::over(child.id(), &self.folder);
        self.process = Some((child, watch));
        self.wait_until_it_answers();
    }

    /// Stops the server in its tracks: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        crate::freeze(self.id());
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        crate::thaw(self.id());
    }

    /// Runs statements as `root`.
    pub fn sql(&self, statements: &str) {
        let client = self.client(statements);
        let error = String::from_utf8_lossy(&client.stderr);
        assert!(client.status.success(), "{statements}: {error}");
    }

    /// The same; whether the server has done it.
    pub fn try_sql(&self, statements: &str) -> bool {
        self.client(statements).status.success()
    }

    fn client(&self, statements: &str) -> Output {
        let port = format!("--port={}", self.port);
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--host=127.0.0.1", "--protocol=tcp", "--user=root"]);
        client.args([&port, "-e", statements]);
        client.output().expect("mariadb")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("a running server").0.id()
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn wait_until_it_answers(&mut self) {
        let begun = Instant::now();
        while !answers(self.port) {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let ended = self
                .process
                .as_mut()
                .is_none_or(|(child, _)| !matches!(child.try_wait(), Ok(None)));
            assert!(!ended, "{} ended: {}", self.program.display(), log());
            let silent = self.program.display();
            assert!(begun.elapsed() < PATIENCE, "{silent} does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The options that every server has: its files, its port, nothing but this machine, and every commit synced.
pub(crate) fn options(folder: &Path, port: u16) -> Vec<String> {
    let in_folder = |name| folder.join(name).display().to_string();
    let own = [
        format!("--datadir={}", in_folder("data")),
        format!("--socket={}", in_folder("socket")),
        format!("--pid-file={}", in_folder("pid")),
        format!("--port={port}"),
        format!("--server-id={port}"),
    ];
    let all = [
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--innodb-buffer-pool-size=32M",
        "--innodb-buffer-pool-load-at-startup=OFF",
        "--key-buffer-size=1M",
        "--innodb-flush-log-at-trx-commit=1",
        "--innodb-doublewrite=ON",
        "--max-connections=300",
        "--performance-schema=OFF",
        "--character-set-server=utf8mb4",
    ];
    own.into_iter().chain(all.map(str::to_owned)).collect()
}

/// The server does not run as root unless it is told so by name.
pub(crate) fn run_as() -> Option<String> {
    let who = Command::new("id").arg("-un").output().ok()?;
    let who = String::from_utf8(who.stdout).ok()?;
    (who.trim() == "root").then(|| "--user=root".to_owned())
}

/// Whether the server greets who connects.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut byte = [0];
    stream.read_exact(&mut byte).is_ok()
}
