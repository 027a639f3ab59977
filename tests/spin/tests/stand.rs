//! A stand-in with one application, in a process of its own, and requests to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stand-in that serves the probe at `/probe/...`.
pub(crate) struct Stand {
    process: Child,
    address: String,
    _folder: Folder,
}

/// What a request got.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Stand {
    /// Starts one whose probe may reach these hosts.
    pub(crate) fn start(hosts: &[&str]) -> Self {
        Self::start_with(&probe(hosts), &[])
    }

    /// Starts one with a manifest of its own.
    pub(crate) fn start_with(manifest: &str, arguments: &[&str]) -> Self {
        let folder = Folder::with(manifest);
        let mut process = command(&folder, arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a stand-in");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("its output"));
        stdout.read_line(&mut line).expect("its first line");
        // What is said later is read as well: nobody writes into a pipe that is closed.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let address = line.trim().strip_prefix("Serving http://").expect("its address");
        Self {
            process,
            address: address.to_owned(),
            _folder: folder,
        }
    }

    /// What each step gave.
    pub(crate) fn run(&self, steps: &Value) -> Vec<String> {
        let response = self.post("/probe/run", "", &steps.to_string());
        assert_eq!(response.status, 200, "{response:?}");
        serde_json::from_str(&response.body).expect("a list of texts")
    }

    /// What one step gave, after others.
    pub(crate) fn last(&self, steps: &Value) -> String {
        self.run(steps).pop().expect("a step")
    }

    /// A request with more lines of its head, each with its end.
    pub(crate) fn post(&self, path: &str, head: &str, body: &str) -> Response {
        self.begin(path, head, body).end()
    }

    /// A request whose answer is read later.
    pub(crate) fn begin(&self, path: &str, head: &str, body: &str) -> Begun {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n{body}",
            self.address
        );
        stream.write_all(request.as_bytes()).expect("a request");
        Begun(stream)
    }

    /// Ends it with a signal, and gives its exit code.
    pub(crate) fn end(&mut self, signal: &str) -> Option<i32> {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status();
        assert!(sent.expect("the command kill").success());
        self.process.wait().expect("its end").code()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A request that waits for its answer.
pub(crate) struct Begun(TcpStream);

impl Begun {
    pub(crate) fn end(mut self) -> Response {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).expect("an answer");
        let text = String::from_utf8(bytes).expect("a text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        let body = if head.contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Response { status, head, body }
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        body.push_str(&after[..length]);
        rest = after[length..].strip_prefix("\r\n").expect("the end of a chunk");
    }
    body
}

/// The manifest of the probe.
pub(crate) fn probe(hosts: &[&str]) -> String {
    format!(
        "spin_manifest_version = 2\n\
         [application]\nname = \"probe\"\n\
         [variables]\nword = {{ default = \"default\", secret = true }}\nempty = {{ default = \"\" }}\n\
         [[trigger.http]]\nroute = \"/probe/...\"\ncomponent = \"probe\"\n\
         [component.probe]\nsource = {:?}\nallowed_outbound_hosts = {hosts:?}\n\
         environment = {{ COLOUR = \"green\" }}\n\
         [component.probe.variables]\nsaid = \"<{{{{ word }}}}>\"\n",
        fixture("spin-probe")
    )
}

/// A guest that `cargo xtask test` has built.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(format!("target/fixtures/{name}.wasm"));
    assert!(path.is_file(), "no {}: cargo xtask test builds it", path.display());
    path
}

/// What a stand-in says that does not start.
pub(crate) fn refusal(manifest: &str, arguments: &[&str]) -> String {
    let folder = Folder::with(manifest);
    let output = command(&folder, arguments).output().expect("a stand-in");
    assert!(!output.status.success(), "it has started and ended");
    String::from_utf8(output.stderr).expect("a text")
}

fn command(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spin-stand-in"));
    command
        .args(["up", "--listen", "127.0.0.1:0", "--from"])
        .arg(folder.0.join("spin.toml"))
        .args(arguments)
        // With it errors carry where they were made.
        .env_remove("RUST_BACKTRACE")
        .env_remove("SPIN_VARIABLE_WORD")
        .env("SPIN_VARIABLE_EMPTY", "from the environment");
    command
}

/// A folder with a manifest, until it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn with(manifest: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mpim-stand-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(path.join("spin.toml"), manifest).expect("a manifest");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
