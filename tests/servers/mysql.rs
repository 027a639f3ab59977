//! A private server of MySQL, whose `mysqld` the environment names: Debian's stable release has none. It takes the same
//! options as MariaDB where they mean the same.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::{self, Daemon, run_as};
use super::{folder, free_port};

/// Which `mysqld` is to be used.
pub const MYSQLD: &str = "MPIM_MYSQLD";

/// A server of MySQL.
pub struct Mysql(Daemon);

impl Mysql {
    /// Makes the files of a server and starts it.
    ///
    /// # Panics
    /// Where the environment does not say which `mysqld`: a test that needs one is asked for by name.
    pub fn start() -> Self {
        let program = std::env::var_os(MYSQLD).map(PathBuf::from);
        let program = program.unwrap_or_else(|| panic!("{MYSQLD} names no mysqld: cargo xtask mysql gets one"));
        let folder = folder("mysql");
        install(&program, &folder);
        let users = folder.join("users.sql");
        std::fs::write(&users, USERS).expect("a file of statements");
        let port = free_port();
        let mut options = daemon::options(&folder, port);
        options.extend(
            [
                "--mysqlx=OFF",
                "--skip-log-bin",
                "--secure-file-priv=NULL",
                "--innodb-redo-log-capacity=32M",
            ]
            .map(str::to_owned),
        );
        // It is read at each start, so that its statements bear a repeat.
        options.push(format!("--init-file={}", users.display()));
        Self(Daemon::start(&program, folder, port, options))
    }
}

impl Deref for Mysql {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.0
    }
}

impl DerefMut for Mysql {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}

/// One statement a line. The root that is made with the files may only come from `localhost`, which is a name.
const USERS: &str = "CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY 'secret';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES ON *.* TO app@'%';
";

fn install(program: &Path, folder: &Path) {
    let made = Command::new(program)
        .args(["--no-defaults", "--initialize-insecure"])
        .env("TMPDIR", folder)
        .args(run_as())
        .arg(format!("--datadir={}", folder.join("data").display()))
        .arg("--innodb-redo-log-capacity=32M")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let error = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{}: {error}", program.display());
}
