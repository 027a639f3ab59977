//! A private server of MariaDB, as durable as one in earnest: every commit is synced.

use std::fs::File;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{Watch, folder, free_port};

/// How long a server may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a user `root` without a password and a user `app` with the password `secret`, who may do anything
/// but what an administrator may.
pub struct Mariadb {
    folder: PathBuf,
    port: u16,
    /// Whether what it does is written down for replicas.
    is_primary: bool,
    process: Option<(Child, Watch)>,
}

impl Mariadb {
    /// Makes the files of a server and starts it.
    pub fn start() -> Self {
        let server = Self::bare(false);
        server.sql(USERS);
        server
    }

    /// The same for a server that may have replicas.
    pub fn start_primary() -> Self {
        let server = Self::bare(true);
        server.sql(USERS);
        server
    }

    /// Makes a replica of a primary, which has all that it has as soon as it can. It may be read only, but by `root`.
    pub fn start_replica(&self) -> Self {
        let replica = Self::bare(false);
        replica.sql(&format!(
            "SET GLOBAL read_only = 1; CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, \
             MASTER_USER = 'root', MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos; START SLAVE",
            self.port
        ));
        replica
    }

    fn bare(is_primary: bool) -> Self {
        let folder = folder("mariadb");
        install(&folder);
        let mut server = Self {
            folder,
            port: free_port(),
            is_primary,
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
        let child = Command::new("mariadbd")
            .arg("--no-defaults")
            .env("TMPDIR", &self.folder)
            .args(run_as())
            .arg(format!("--datadir={}", self.folder.join("data").display()))
            .arg(format!("--socket={}", self.folder.join("socket").display()))
            .arg(format!("--pid-file={}", self.folder.join("pid").display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--server-id={}", self.port))
            .arg(if self.is_primary {
                "--log-bin=binlog"
            } else {
                "--skip-log-bin"
            })
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args(SMALL)
            .args(["--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=ON"])
            .args([
                "--max-connections=300",
                "--performance-schema=OFF",
                "--character-set-server=utf8mb4",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mariadbd");
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

    fn wait_until_it_answers(&mut self) {
        let begun = Instant::now();
        while !answers(self.port) {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let ended = self
                .process
                .as_mut()
                .is_none_or(|(child, _)| !matches!(child.try_wait(), Ok(None)));
            assert!(!ended, "mariadbd ended: {}", log());
            assert!(begun.elapsed() < PATIENCE, "mariadbd does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Mariadb {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

const USERS: &str = "CREATE USER app@'%' IDENTIFIED BY 'secret'; \
    GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES ON *.* TO app@'%'";

const SMALL: [&str; 4] = [
    "--innodb-log-file-size=16M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--key-buffer-size=1M",
];

fn install(folder: &Path) {
    let made = Command::new("mariadb-install-db")
        .arg("--no-defaults")
        // A server that starts removes the temporary tables of all others from a folder that they share.
        .env("TMPDIR", folder)
        .arg(format!("--datadir={}", folder.join("data").display()))
        .args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ])
        .args(run_as())
        .args(SMALL)
        .output()
        .expect("mariadb-install-db");
    let error = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "mariadb-install-db: {error}");
}

/// The server does not run as root unless it is told so by name.
fn run_as() -> Option<String> {
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
