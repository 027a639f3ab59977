//! Private servers for tests: each on a free port of this machine, in a folder of its own, gone with its owner.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot be had ends the test that needs it"
)]

pub mod daemon;
pub mod mariadb;
pub mod mysql;
pub mod proxy;
pub mod redis;

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer than a server takes to start or to stop, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A new folder for temporary files.
pub fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!(
        "mpim-{name}-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    folder
}

/// Sends a signal to a process by its number.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "signal {name} to process {pid}"
    );
}

/// Stops a process where it is, until [`thaw`]: none of its threads runs any more when this returns.
pub(crate) fn freeze(pid: u32) {
    signal("STOP", pid);
    let begun = Instant::now();
    // The signal is sent at once, but each thread stops only when it is next in the kernel.
    while !is_frozen(pid) {
        assert!(begun.elapsed() < PATIENCE, "process {pid} does not stop");
        std::thread::yield_now();
    }
}

/// Lets a frozen process go on.
pub(crate) fn thaw(pid: u32) {
    signal("CONT", pid);
}

fn is_frozen(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    threads.flatten().all(|thread| {
        // A thread that has ended meanwhile does not run either.
        std::fs::read_to_string(thread.path().join("stat")).map_or(true, |stat| {
            [") T ", ") Z ", ") X "].iter().any(|state| stat.contains(state))
        })
    })
}

/// Ends a server and removes its folder when this process ends, however it ends: a shell waits for the end of its
/// input, which nobody writes.
pub struct Watch(Child);

impl Watch {
    /// Watches over a server.
    pub fn over(pid: u32, folder: &Path) -> Self {
        Self::over_any(pid.to_string(), folder)
    }

    /// `target` is what the command `kill` takes.
    fn over_any(target: String, folder: &Path) -> Self {
        let shell = Command::new("sh")
            .arg("-c")
            .arg("read -r stop; [ \"$stop\" = stop ] || { kill -9 \"$0\"; rm -rf \"$1\"; }")
            .arg(target)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(shell.expect("a shell"))
    }
}

impl Drop for Watch {
    /// The owner ends the server itself.
    fn drop(&mut self) {
        if let Some(mut input) = self.0.stdin.take() {
            let _ = input.write_all(b"stop\n");
        }
        let _ = self.0.wait();
    }
}

/// A program with all that it starts, in a group of processes of its own. The whole group ends when this is dropped, or
/// when this process ends, however it ends: a program that is killed cannot end what it has started.
pub struct Group {
    child: Child,
    watch: Option<Watch>,
}

impl Group {
    /// Starts a program. The folder is removed with it when this process ends.
    pub fn start(command: &mut Command, folder: &Path) -> std::io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let watch = Watch::over_any(format!("-{}", child.id()), folder);
        Ok(Self {
            child,
            watch: Some(watch),
        })
    }

    /// The program itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The number stays taken until the program is waited for, so that nobody else is meant by it.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
        drop(self.watch.take());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::{Group, PATIENCE, folder};

    fn is_running(id: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn what_a_program_has_started_ends_with_its_group() {
        let folder = folder("group");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped());
        let mut group = Group::start(&mut command, &folder).expect("a shell");
        let mut said = BufReader::new(group.child().stdout.take().expect("piped"));
        let mut id = String::new();
        said.read_line(&mut id).expect("the number of a process");
        assert!(is_running(id.trim()));
        drop(group);
        let begun = Instant::now();
        while is_running(id.trim()) {
            assert!(begun.elapsed() < PATIENCE, "process {id} is left");
            std::thread::yield_now();
        }
        std::fs::remove_dir_all(folder).expect("the folder");
    }
}
