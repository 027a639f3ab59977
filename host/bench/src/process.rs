//! The processes of a measurement: a server of its own, and the time that each spends on processors.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use client::address::Address;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::Failure;
use crate::figures::Figures;

/// The kernel tells times of processes in ticks of this length.
const TICK: Duration = Duration::from_millis(10);

/// A folder for the data of a measurement; gone with it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes it where temporary files are.
    pub(crate) fn make() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("mpim-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| Failure::other(format!("{}: {error}", folder.display())))?;
        Ok(Self(folder))
    }

    /// The file of the embedded store, which is there once a server or a migration has made it.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("mpim.sqlite")
    }

    /// Removes the store; compiled components stay.
    pub(crate) fn forget(&self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            // What was never there need not go.
            let _ = std::fs::remove_file(self.0.join(format!("mpim.sqlite{end}")));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What it kept is for nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// This program, with its data there.
fn program(command: &str, folder: &Folder) -> Result<Command, Failure> {
    let mut program = Command::new(std::env::current_exe().map_err(Failure::other)?);
    program.arg(command).arg("--data").arg(&folder.0).stdin(Stdio::null());
    Ok(program)
}

/// Makes the tables of a store.
pub(crate) fn migrate(folder: &Folder, more: &[String]) -> Result<(), Failure> {
    let status = program("migrate", folder)?.args(more).status();
    match status.map_err(Failure::other)? {
        status if status.success() => Ok(()),
        status => Err(Failure::other(format!("the store cannot be made: {status}"))),
    }
}

/// A server that is started for a measurement, and ends with it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: Address,
}

impl Server {
    /// Starts this program as a server on a free port, with its data there. `more` are arguments of `up`.
    pub(crate) fn start(folder: &Folder, more: &[String]) -> Result<Self, Failure> {
        let mut child = program("up", folder)?
            .args(["--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::other(format!("the server cannot be started: {error}")))?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| Failure::other("the server is mute"))?;
        let mut said = BufReader::new(stdout);
        let mut first = String::new();
        // Ends with the first line, or with the process, which says why on the standard error.
        let _ = said.read_line(&mut first);
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let address = first.split_whitespace().find(|word| word.starts_with("http://"));
        let address = address.and_then(|url| url.parse().ok());
        let Some(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Failure::other("the server did not start"));
        };
        Ok(Self { child, address })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The process.
    pub(crate) fn process(&self) -> Process {
        Process {
            name: "server".to_owned(),
            pid: self.child.id().to_string(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that is watched, under the name by which its figures are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) name: String,
    pid: String,
}

impl Process {
    /// This process.
    pub(crate) fn own() -> Self {
        Self {
            name: "load".to_owned(),
            pid: "self".to_owned(),
        }
    }

    fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(Path::new("/proc").join(&self.pid).join(file)).ok()
    }

    /// The time that it has spent on processors; none where there is no such process, or no `/proc`.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let stat = self.read("stat")?;
        // The name of the process, in brackets, may hold anything; the fields follow it.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u32>().ok();
        Some(TICK * (ticks()? + ticks()?))
    }

    /// The `status` of each of its threads, by their ids; empty where there is no such process, or no `/proc`.
    pub(crate) fn threads(&self) -> Vec<(u32, String)> {
        let folder = Path::new("/proc").join(&self.pid).join("task");
        let threads = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| {
            let entry = entry.ok()?;
            let id = entry.file_name().to_str()?.parse().ok()?;
            // It may have ended meanwhile.
            Some((id, std::fs::read_to_string(entry.path().join("status")).ok()?))
        });
        threads.collect()
    }

    /// What it has read and written; none where that is not for this user to read.
    pub(crate) fn io(&self) -> Option<String> {
        self.read("io")
    }

    /// Memory that is resident, in bytes.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib << 10)
    }
}

/// The time that processes have spent since it was counted from.
#[derive(Debug)]
pub(crate) struct Spent<'a> {
    processes: &'a [Process],
    before: Vec<Option<Duration>>,
}

impl<'a> Spent<'a> {
    /// Counts from now on.
    pub(crate) fn by(processes: &'a [Process]) -> Self {
        let before = processes.iter().map(Process::cpu).collect();
        Self { processes, before }
    }

    /// Adds what was spent, of each process: microseconds for an operation, and seconds for 1,000.
    pub(crate) fn each(&self, figures: &mut Figures, operations: f64) {
        for (process, before) in self.processes.iter().zip(&self.before) {
            let spent = process.cpu().zip(*before);
            let Some(spent) = spent.and_then(|(now, before)| now.checked_sub(before)) else {
                continue;
            };
            let us = spent.as_secs_f64() * 1e6 / operations.max(1.0);
            figures.set(format!("{}_cpu_us", process.name), us);
            figures.set(format!("{}_cpu_s_per_1000", process.name), us / 1e3);
        }
    }
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |(name, pid): &(&str, &str)| {
            let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            !name.is_empty() && letters && *name != "load" && pid.parse::<u32>().is_ok()
        };
        let (name, pid) = text
            .split_once('=')
            .filter(named)
            .ok_or("NAME=PID is wanted, such as mariadb=4711")?;
        Ok(Self {
            name: name.to_owned(),
            pid: pid.to_owned(),
        })
    }
}

/// Lets this process, and the servers that it starts, have so many files open.
pub(crate) fn allow_files(count: u64) -> Result<(), Failure> {
    let limits = getrlimit(Resource::Nofile);
    if limits.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let raised = Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(Failure::other)?;
    match limits.maximum {
        Some(maximum) if maximum < count => Err(Failure::other(format!(
            "{count} open files are needed, and {maximum} are allowed: see ulimit -Hn"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn processes_are_named_with_their_numbers() {
        let redis: Result<Process, String> = "redis=12".parse();
        assert_eq!(redis.map(|process| process.pid), Ok("12".to_owned()));
        for wrong in ["redis", "=1", "redis=x", "load=1", "a b=1", "a=../1"] {
            assert!(wrong.parse::<Process>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_kernel_tells_of_this_process() {
        let own = Process::own();
        assert!(own.cpu().is_some() && own.resident_bytes().is_some_and(|bytes| bytes > 0));
    }
}
