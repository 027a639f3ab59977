//! A node: a process, its port, its folder.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Manifest;
use super::remote::Remote;

/// A folder that is removed when it is dropped.
pub struct Folder {
    path: PathBuf,
    /// The functions of its nodes, unless they are on the nodes.
    remote: OnceLock<Option<Remote>>,
}

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "mpim-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self {
            path,
            remote: OnceLock::new(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A running node.
pub struct Node {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its manifest and its data.
    pub folder: Arc<Folder>,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// The binary under test.
pub fn mpim() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mpim"));
    command.env("MPIM_LOG", "warn").env_remove("RUST_BACKTRACE");
    command
}

impl Node {
    /// Starts the project's application.
    pub fn start() -> Self {
        Self::with(&Manifest::default())
    }

    /// Starts an application.
    pub fn with(manifest: &Manifest) -> Self {
        Self::in_folder(manifest, Arc::new(Folder::new()))
    }

    /// Starts an application on the data of a folder.
    pub fn in_folder(manifest: &Manifest, folder: Arc<Folder>) -> Self {
        Self::try_in_folder(manifest, folder).unwrap_or_else(|log| panic!("the node did not start:\n{log}"))
    }

    /// Starts an application; what it says when it does not start is the error.
    pub fn try_in_folder(manifest: &Manifest, folder: Arc<Folder>) -> Result<Self, String> {
        let remote = folder.remote.get_or_init(|| Remote::if_wanted(manifest, &folder.path));
        let arguments = remote.as_ref().map(Remote::arguments).unwrap_or_default();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Self::run(mpim(), manifest, Arc::clone(&folder), &arguments)
    }

    /// Starts an application with more arguments.
    pub fn with_arguments(manifest: &Manifest, folder: Arc<Folder>, arguments: &[&str]) -> Self {
        Self::try_with_arguments(manifest, folder, arguments)
            .unwrap_or_else(|log| panic!("the node did not start:\n{log}"))
    }

    /// As [`Node::with_arguments`]; what it says when it does not start is the error.
    pub fn try_with_arguments(manifest: &Manifest, folder: Arc<Folder>, arguments: &[&str]) -> Result<Self, String> {
        Self::run(mpim(), manifest, folder, arguments)
    }

    /// Starts an application where another node has listened before.
    pub fn at(url: &str, manifest: &Manifest, folder: Arc<Folder>, arguments: &[&str]) -> Self {
        let address = url.strip_prefix("http://").expect("an http address");
        Self::with_arguments(manifest, folder, &[&["--listen", address], arguments].concat())
    }

    /// Starts an application whose files cannot grow beyond so many KiB, as on a disk that is full: a write that
    /// goes further fails.
    pub fn with_files_of_at_most(manifest: &Manifest, kib: u32, folder: Arc<Folder>) -> Self {
        let mut shell = Command::new("sh");
        // The unit is 512 bytes. The limit is soft, so that it can be lifted; the signal would end the process.
        shell
            .arg("-c")
            .arg(format!("trap '' XFSZ; ulimit -S -f {}; exec \"$@\"", kib * 2));
        shell.arg("sh").arg(mpim().get_program()).env("MPIM_LOG", "warn");
        Self::run(shell, manifest, folder, &[]).unwrap_or_else(|log| panic!("the node did not start:\n{log}"))
    }

    fn run(mut command: Command, manifest: &Manifest, folder: Arc<Folder>, arguments: &[&str]) -> Result<Self, String> {
        let file = folder.path().join("spin.toml");
        std::fs::write(&file, manifest.text()).expect("the manifest is written");
        share_compiled(folder.path());
        command.arg("up").arg("--data").arg(folder.path().join("data"));
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
            .arg("--app")
            .arg(&file)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let (log, reader) = gather(child.stderr.take().expect("piped"));
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        // Ends with the first line, or with the process.
        let _ = stdout.read_line(&mut line);
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .map(str::to_owned);
        let Some(url) = url else {
            let _ = child.wait();
            let _ = reader.join();
            let said = log.lock().expect("not poisoned").clone();
            return Err(format!("{line}{said}"));
        };
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(Self {
            child,
            url,
            folder,
            log,
            reader: Some(reader),
        })
    }

    /// The end of the process, without warning: `kill -9`. Gives its folder.
    pub fn kill(mut self) -> Arc<Folder> {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
        self.folder.clone()
    }

    /// As [`Node::kill`], while others hold the node.
    pub fn kill_now(&self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-KILL", &id])
                .status()
                .expect("kill runs")
                .success()
        );
    }

    /// Asks the process to end, and waits. Gives its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.child.wait().expect("gone").code()
    }

    /// Asks the process to end.
    pub fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .expect("kill runs")
                .success()
        );
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// What the process has logged until now.
    pub fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS")
    }

    /// The most memory that was ever resident, in KiB.
    pub fn peak_resident_kib(&self) -> u64 {
        self.status_kib("VmHWM")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("running");
        let line = status.lines().find(|line| line.starts_with(name)).expect("has memory");
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse().ok())
            .expect("a number")
    }

    /// The time that the process spent on processors.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("running");
        // The name of the process, in brackets, may hold anything; the fields follow it.
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
        // Time alone and time in the kernel, in ticks of 10 ms.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Whether its functions are its own, and not remote.
    pub fn has_functions(&self) -> bool {
        self.folder.remote.get().is_none_or(Option::is_none)
    }

    /// The token of the operator.
    pub fn operator_token(&self) -> String {
        let path = self.folder.path().join("data/operator.token");
        std::fs::read_to_string(path)
            .expect("made at the start")
            .trim()
            .to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("the node had logged:\n{}", self.log());
            if let Some(Some(remote)) = self.folder.remote.get() {
                eprintln!("its functions had logged:\n{}", remote.log());
            }
        }
    }
}

/// All nodes of the tests share their compiled components: each is compiled once.
pub fn share_compiled(folder: &Path) {
    make_private(&folder.join("data"));
    let link = folder.join("data/cache");
    if !link.exists() {
        std::os::unix::fs::symlink(compiled(), link).expect("linked");
    }
}

/// Where the compiled components of all tests are.
pub fn compiled() -> PathBuf {
    let shared = super::manifest::root().join("target/tests-cache");
    make_private(&shared);
    shared
}

fn make_private(folder: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(folder).expect("a folder");
}

fn gather(mut stream: impl Read + Send + 'static) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let log = Arc::new(Mutex::new(String::new()));
    let sink = log.clone();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
            sink.lock().expect("not poisoned").push_str(&text);
        }
    });
    (log, reader)
}
