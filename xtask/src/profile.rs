//! Profiles of a node under the loads of the benchmarks: `perf` takes samples of it, and `mpim bench profile` counts
//! them by parts of the program.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::workspace::Failure;

/// After the begin of a load: by then its accounts are there.
const BEFORE: Duration = Duration::from_secs(4);
/// For so many seconds samples are taken.
const SECONDS: &str = "4";
/// Samples of each processor in a second; no number that what happens evenly happens by.
const FREQUENCY: &str = "997";

/// A load: what it is called, further arguments of `mpim up`, and those of `mpim bench`.
pub(crate) struct Load<'a> {
    pub(crate) name: &'a str,
    pub(crate) up: &'a [&'a str],
    pub(crate) bench: &'a [&'a str],
}

/// Whether samples can be taken here.
pub(crate) fn is_possible() -> bool {
    let version = Command::new("perf").arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Takes samples of a node under a load, into a file of its own in the folder; `NAME=FILE`.
pub(crate) fn take(mpim: &Path, folder: &Path, load: &Load<'_>) -> Result<String, Failure> {
    let place = folder.join("profile");
    std::fs::create_dir_all(&place).map_err(|error| Failure::of(&place, &error))?;
    let (mut node, url) = Node::start(mpim, &place.join("data"), load.up)?;
    let mut loading = Ended(
        Command::new(mpim)
            .arg("bench")
            .args(load.bench)
            .args(["--url", &url])
            .env("MPIM_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It says that its node went.
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Failure::of(mpim, &error))?,
    );
    sleep(BEFORE);
    let data = place.join("perf.data");
    let record = || {
        let mut record = Command::new("perf");
        record.args(["record", "-q", "-F", FREQUENCY, "-p", &node.0.0.id().to_string(), "-o"]);
        run(record.arg(&data).args(["--", "sleep", SECONDS]).stdout(Stdio::null()))
    };
    // It gives up when a thread ends while it looks for all of them.
    record().or_else(|_| record()).or_else(|_| record())?;
    if let Ok(Some(status)) = loading.0.try_wait()
        && !status.success()
    {
        return Err(Failure(format!("the load of {} failed: {status}", load.name)));
    }
    let file: PathBuf = folder.join(format!(
        "{}.samples",
        load.name.replace(", ", "-").replace([' ', '/'], "-")
    ));
    let out = File::create(&file).map_err(|error| Failure::of(&file, &error))?;
    let mut script = Command::new("perf");
    script
        .args(["script", "-F", "ip,sym,dso", "-i"])
        .arg(&data)
        .stdout(out)
        .stderr(Stdio::null());
    run(&mut script)?;
    node.0.end();
    loading.end();
    // What the node kept is for nobody.
    let _ = std::fs::remove_dir_all(&place);
    Ok(format!("{}={}", load.name, file.display()))
}

fn run(command: &mut Command) -> Result<(), Failure> {
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        other => Err(Failure(format!("{command:?} failed: {other:?}"))),
    }
}

/// A process that ends with its owner.
struct Ended(Child);

impl Ended {
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.end();
    }
}

/// What it says is kept open: it may have more to say.
struct Node(Ended, Option<BufReader<ChildStdout>>);

impl Node {
    /// Starts a node on a free port, and gives where it is.
    fn start(mpim: &Path, data: &Path, more: &[&str]) -> Result<(Self, String), Failure> {
        let mut child = Command::new(mpim)
            .args(["up", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .env("MPIM_LOG", "error")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::of(mpim, &error))?;
        let said = child.stdout.take().map(BufReader::new);
        let mut node = Self(Ended(child), said);
        let mut first = String::new();
        if let Some(said) = &mut node.1 {
            // Ends with the first line, or with the process.
            let _ = said.read_line(&mut first);
        }
        match first.split_whitespace().find(|word| word.starts_with("http://")) {
            Some(url) => Ok((node, url.to_owned())),
            None => Err(Failure("the node for a profile did not start".to_owned())),
        }
    }
}
