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
        let shell = Command::new("sh")
            .arg("-c")
            .arg("read -r stop; [ \"$stop\" = stop ] || { kill -9 \"$0\"; rm -rf \"$1\"; }")
            .arg(pid.to_string())
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
