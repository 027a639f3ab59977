//! A private server of MariaDB, as durable as one in earnest: every commit is synced.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

use super::daemon::{self, Daemon, run_as};
use super::{folder, free_port};

/// A server of MariaDB.
pub struct Mariadb(Daemon);

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
            self.port()
        ));
        replica
    }

    /// What is done is written down for replicas where it is a primary.
    fn bare(is_primary: bool) -> Self {
        let folder = folder("mariadb");
        install(&folder);
        let port = free_port();
        let mut options = daemon::options(&folder, port);
        options.push(LOG_FILE_SIZE.to_owned());
        let log = if is_primary {
            "--log-bin=binlog"
        } else {
            "--skip-log-bin"
        };
        options.push(log.to_owned());
        Self(Daemon::start(Path::new("mariadbd"), folder, port, options))
    }
}

impl Deref for Mariadb {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.0
    }
}

impl DerefMut for Mariadb {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}

const USERS: &str = "CREATE USER app@'%' IDENTIFIED BY 'secret'; \
    GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES ON *.* TO app@'%'";

const LOG_FILE_SIZE: &str = "--innodb-log-file-size=16M";

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
        .args([LOG_FILE_SIZE, "--innodb-buffer-pool-size=32M", "--key-buffer-size=1M"])
        .output()
        .expect("mariadb-install-db");
    let error = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "mariadb-install-db: {error}");
}
