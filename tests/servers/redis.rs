//! Redis servers: one, a master with a replica, a cluster of three masters.
//!
//! Each server has a shell that waits for the end of its input, which comes when the server is dropped or when the
//! test process ends in whatever way; it then kills the server by its id and removes its folder. So a server may be
//! kept in a `static`.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than a server takes to start, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Ports that no client is given by the system, with room for the second port that a node of a cluster has.
const PORTS: (u32, u32) = (12_000, 22_000);

/// A server of Redis that keeps nothing on disk.
pub struct Redis {
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    /// Waits for the end of its input.
    shell: Child,
    /// Of the server.
    id: u32,
}

impl Redis {
    /// A server with nothing special.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with more options: `--name value`, each its own word.
    pub fn start_with(options: &[&str]) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let port = free_port();
            let mut server = Self {
                port,
                folder: std::env::temp_dir().join(format!("mpim-redis-{}-{port}", std::process::id())),
                options: options.iter().map(|option| (*option).to_owned()).collect(),
                process: None,
            };
            // Somebody else may have been faster with the port.
            match server.spawn() {
                Ok(()) => return server,
                Err(error) => assert!(Instant::now() < deadline, "redis-server does not start: {error}"),
            }
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without user and password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it, with all that it has.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal(process.id, "KILL");
            drop(process.shell.stdin.take());
            process.shell.wait().expect("the end of the shell");
        }
    }

    /// Starts it again where it was, empty.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn().expect("a server on the port that it had");
    }

    /// Stops it without closing anything, until it is thawed.
    pub fn freeze(&self) {
        crate::freeze(self.id());
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        crate::thaw(self.id());
    }

    /// Its answer to a command, the parts of a list in lines. An error of the server is an error.
    pub fn ask(&self, words: &[&str]) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        answer(&mut BufReader::new(stream))
    }

    /// Waits until the answer to a command has all of these parts.
    pub fn wait_for(&self, words: &[&str], parts: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(words);
            if answer
                .as_ref()
                .is_ok_and(|answer| parts.iter().all(|part| answer.contains(part)))
            {
                return;
            }
            assert!(Instant::now() < deadline, "{words:?} gives {answer:?}, not {parts:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("a server that runs").id
    }

    fn spawn(&mut self) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut shell = Command::new("sh")
            .args([
                "-c",
                r#"folder=$1; shift; "$@" >"$folder/log" & echo $!; cat >/dev/null; kill -9 $!; rm -r "$folder""#,
            ])
            .arg("redis")
            .arg(&self.folder)
            .args(["redis-server", "--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(&self.folder)
            .args(&self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(shell.stdout.take().expect("its output is read")).read_line(&mut line)?;
        let id = line.trim().parse().expect("the id of the server");
        self.process = Some(Process { shell, id });
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.ask(&["INFO", "server"]) {
                Ok(info) if info.contains(&format!("process_id:{id}\r\n")) => return Ok(()),
                // One with a password listens as well as one without.
                Err(error) if error.to_string().contains("NOAUTH") => return Ok(()),
                Ok(_) => break,
                Err(_) if !is_alive(id) => break,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        self.kill();
        Err(io::Error::other(log))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "redis-server at {}", self.port)
    }
}

/// A master and a replica that follows it.
#[derive(Debug)]
pub struct Replicated {
    /// Takes writes.
    pub master: Redis,
    /// Has what the master has, a little later.
    pub replica: Redis,
}

impl Replicated {
    /// Both, when the replica follows.
    pub fn start() -> Self {
        let master = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
        let port = master.port().to_string();
        let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]);
        replica.wait_for(&["INFO", "replication"], &["master_link_status:up"]);
        Self { master, replica }
    }

    /// The master's URL, then the replica's.
    pub fn urls(&self) -> Vec<String> {
        vec![self.master.url(), self.replica.url()]
    }
}

/// A cluster of three masters without replicas.
#[derive(Debug)]
pub struct Cluster {
    /// The masters.
    pub nodes: Vec<Redis>,
}

impl Cluster {
    /// Three masters that have agreed on who has which slots.
    pub fn start() -> Self {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let nodes = (0..3).map(|_| Redis::start_with(&options)).collect::<Vec<_>>();
        let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for (index, (node, (first, last))) in nodes.iter().zip(slots).enumerate() {
            let epoch = (index + 1).to_string();
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).expect("an epoch");
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]).expect("slots");
        }
        for (node, other) in nodes
            .iter()
            .flat_map(|node| nodes.iter().map(move |other| (node, other)))
        {
            if node.port() != other.port() {
                let port = other.port().to_string();
                node.ask(&["CLUSTER", "MEET", "127.0.0.1", &port]).expect("a neighbour");
            }
        }
        let ports = nodes.iter().map(|node| node.port.to_string()).collect::<Vec<_>>();
        let ports = ports.iter().map(String::as_str).collect::<Vec<_>>();
        for node in &nodes {
            node.wait_for(&["CLUSTER", "INFO"], &["cluster_state:ok", "cluster_known_nodes:3\r\n"]);
            node.wait_for(&["CLUSTER", "SLOTS"], &ports);
        }
        Self { nodes }
    }

    /// The URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }
}

/// A port that nobody listens at, nor at the one that a node of a cluster would have beside it.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (first, last) = PORTS;
    loop {
        // Processes begin at ports far from each other.
        let offset = std::process::id()
            .wrapping_mul(7919)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(first + offset % (last - first)).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

fn signal(id: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &id.to_string()])
        .stderr(Stdio::null())
        .status();
    status.expect("the command kill");
}

fn is_alive(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Reads one answer of the second protocol.
fn answer(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let Some(kind) = line.chars().next() else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let rest = &line[1..];
    let length = || rest.parse::<i64>().map_err(io::Error::other);
    match kind {
        '-' => Err(io::Error::other(rest.to_owned())),
        '$' => match usize::try_from(length()?) {
            Err(_) => Ok(String::new()),
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                reader.read_exact(&mut bytes)?;
                bytes.truncate(length);
                String::from_utf8(bytes).map_err(io::Error::other)
            }
        },
        '*' => {
            let parts = (0..length()?).map(|_| answer(reader)).collect::<io::Result<Vec<_>>>()?;
            Ok(parts.join("\n"))
        }
        _ => Ok(rest.to_owned()),
    }
}
