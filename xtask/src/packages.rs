//! What the tests and a cluster to try need of the system, as Debian packages: Redis and MariaDB, and Python for the
//! component in it. Installs them where it may, and says how where it may not.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::workspace::Failure;

/// A program, and the package that it comes in.
const NEEDED: [(&str, &str); 3] = [
    ("redis-server", "redis-server"),
    ("mariadbd", "mariadb-server"),
    ("mariadb-install-db", "mariadb-server"),
];

/// Where programs of the system lie that may not be in the path of a user.
const SYSTEM: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];

/// Makes sure that the servers are there.
pub(crate) fn ensure_servers() -> Result<(), Failure> {
    ensure(missing_servers)
}

/// Makes sure that Python is there, with what makes an environment apart from that of the system.
pub(crate) fn ensure_python() -> Result<(), Failure> {
    ensure(missing_python)
}

fn ensure(missing: fn() -> Vec<&'static str>) -> Result<(), Failure> {
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", wanted.join(" "));
    if !may_install() {
        return Err(Failure(format!(
            "{} missing: install with `sudo apt-get update && sudo {install}`",
            wanted.join(" and ")
        )));
    }
    println!("installing {}", wanted.join(" and "));
    for command in ["apt-get update", &install] {
        // Services are not started: tests start servers of their own.
        let done = Command::new("sh")
            .args(["-c", command])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1")
            .stdout(Stdio::null())
            .status();
        if !done.as_ref().is_ok_and(std::process::ExitStatus::success) {
            return Err(Failure(format!("`{command}` failed: {done:?}")));
        }
    }
    match missing().as_slice() {
        [] => Ok(()),
        still => Err(Failure(format!("{} missing after `{install}`", still.join(" and ")))),
    }
}

fn missing_servers() -> Vec<&'static str> {
    let mut packages: Vec<_> = NEEDED
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    packages
}

/// The module that puts `pip` into an environment is in a package of its own.
fn missing_python() -> Vec<&'static str> {
    let tried = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
    match tried {
        Ok(output) if output.status.success() => Vec::new(),
        _ => vec!["python3-venv"],
    }
}

/// Whether a program can be found.
pub(crate) fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain(SYSTEM.iter().map(|folder| Path::new(folder).to_owned()));
    folders.any(|folder| folder.join(program).is_file())
}

/// Whether this is the superuser of a system with apt.
fn may_install() -> bool {
    let id = Command::new("id").arg("-u").output();
    let is_superuser = id.is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    is_superuser && is_there("apt-get")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_name_alone() {
        assert!(is_there("sh") && !is_there("no-such-program-anywhere"));
    }
}
