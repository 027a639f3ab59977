//! The processes of a measurement: a server of its own, and the time that each spends on processors.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cli::Failure;
use crate::cli::address::Address;

/// The kernel tells times of processes in ticks of this length.
const TICK: Duration = Duration::from_millis(10);

/// A server that is started for a measurement, and ends with it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    folder: PathBuf,
    address: Address,
}

impl Server {
    /// Starts this program as a server on a free port, with its data in a new folder. `more` are arguments of `up`.
    pub(super) fn start(more: &[String]) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("mpim-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| Failure::other(format!("{}: {error}", folder.display())))?;
        let program = std::env::current_exe().map_err(Failure::other)?;
        let mut child = Command::new(program)
            .args(["up", "--listen", "127.0.0.1:0", "--data"])
            .arg(&folder)
            .args(more)
            .stdin(Stdio::null())
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
        Ok(Self { address, child, folder })
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The time that it has spent on processors.
    pub(super) fn cpu(&self) -> Option<Duration> {
        cpu_of(&self.child.id().to_string())
    }

    /// Bytes of the files of its store.
    pub(super) fn stored_bytes(&self) -> u64 {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_name().to_string_lossy().contains("sqlite"));
        files
            .filter_map(|file| file.metadata().ok())
            .map(|file| file.len())
            .sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; what it kept is for nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The time that this process has spent on processors.
pub(super) fn own_cpu() -> Option<Duration> {
    cpu_of("self")
}

/// From `/proc/PID/stat`; none where there is no such file.
fn cpu_of(process: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the process, in brackets, may hold anything; the fields follow it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}
