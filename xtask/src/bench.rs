//! The benchmarks, one after the other: `mpim bench` on embedded storage, then on a private MariaDB and Redis, and
//! native code against components. What each leaves is JSON in one folder, and a page with plots of all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::profile::{self, Load};
use crate::workspace::{Failure, Workspace};
use servers::mariadb::Mariadb;
use servers::redis::Redis;

/// Name and arguments of `mpim bench`, on embedded storage.
const EMBEDDED: &[(&str, &[&str])] = &[
    ("host", &["host"]),
    ("http", &["http"]),
    ("send", &["send", "--repeat", "7"]),
    ("send-rates", &["send", "--rate", "500,1000,2000,4000"]),
    ("offline", &["offline"]),
    ("login", &["login"]),
    ("group", &["group"]),
    ("presence", &["presence"]),
    ("idle", &["idle"]),
    (
        "scale",
        &["scale", "--stored=1000,100000,10000000", "--users=100,10000,1000000"],
    ),
    ("start", &["start"]),
];

/// More idle connections than one process may have files, at the same time: so many nodes, each with its own load.
const MANY: &str = "idle-many";
const NODES: usize = 6;
const IDLE: &[&str] = &[
    "idle",
    "--connections",
    "17000",
    "--hold",
    "90",
    "--warm-up",
    "0",
    "--repeat",
    "1",
];

/// The same for what is measured with servers, too.
const NETWORKED: &[(&str, &[&str])] = &[
    ("networked-http", &["http"]),
    ("networked-send", &["send", "--repeat", "7"]),
    ("networked-send-rates", &["send", "--rate", "500,1000,2000"]),
];

/// Native code against components, on servers.
const NATIVE_NETWORKED: &str = "networked-native";

/// Where the time of a node goes under these loads; those on servers are told where these are.
const PROFILES: &[(&str, bool, &[&str])] = &[
    (
        "messages, embedded",
        false,
        &["send", "--messages", "6000", "--repeat", "1", "--warm-up", "0"],
    ),
    (
        "logins by token",
        false,
        &["login", "--passwords", "0", "--abreast", "64", "--repeat", "20"],
    ),
    (
        "messages, servers",
        true,
        &["send", "--messages", "3000", "--repeat", "1", "--warm-up", "0"],
    ),
];
const PROFILE: &str = "profile";

const NOTE: &str = "MariaDB with innodb_flush_log_at_trx_commit=1, Redis without persistence, all on this machine";

/// Measures what is named, or everything.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<(), Failure> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let folder = workspace.artefacts().join("bench");
    std::fs::create_dir_all(&folder).map_err(|error| Failure::of(&folder, &error))?;
    let mpim = workspace.artefacts().join("release/mpim");
    let mut written = Vec::new();
    let bench = |name: &str, arguments: &[String]| -> Result<PathBuf, Failure> {
        println!("{name}");
        let file = folder.join(format!("{name}.json"));
        tell(Command::new(&mpim).arg("bench").args(arguments).arg("--json"), &file)?;
        Ok(file)
    };
    let owned = |arguments: &[&str]| {
        arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect::<Vec<_>>()
    };
    for (name, arguments) in EMBEDDED.iter().filter(|(name, _)| wanted(name)) {
        written.push(bench(name, &owned(arguments))?);
    }
    if wanted(MANY) {
        println!("{MANY}");
        written.push(many(&mpim, &folder)?);
    }
    let native = workspace.artefacts().join("release/bench-native");
    let profiles = wanted(PROFILE) && profile::is_possible();
    if wanted(PROFILE) && !profiles {
        println!("profiles are left out: there is no `perf` (Debian's package linux-perf)");
    }
    let mut samples = Vec::new();
    let mut profile = |servers: bool, up: &[&str]| -> Result<(), Failure> {
        for (name, _, bench) in PROFILES.iter().filter(|(_, on, _)| profiles && *on == servers) {
            println!("profile: {name}");
            samples.push(profile::take(&mpim, &folder, &Load { name, up, bench })?);
        }
        Ok(())
    };
    profile(false, &[])?;
    if NETWORKED.iter().any(|(name, _)| wanted(name)) || wanted(NATIVE_NETWORKED) || profiles {
        let (database, redis) = (Mariadb::start(), Redis::start());
        let (mysql, redis_url) = (database.url("mpim"), redis.url());
        let beside = [
            format!("--cpu-of=mariadb={}", database.id()),
            format!("--cpu-of=redis={}", redis.id()),
            format!("--note={NOTE}"),
        ];
        for (name, arguments) in NETWORKED.iter().filter(|(name, _)| wanted(name)) {
            let servers = match arguments.first() {
                Some(&"http") => vec![format!("--mysql={mysql}"), format!("--redis={redis_url}")],
                _ => vec![format!("--up=--mysql {mysql} --redis {redis_url}")],
            };
            written.push(bench(name, &[owned(arguments), servers, beside.to_vec()].concat())?);
        }
        profile(true, &["--mysql", &mysql, "--redis", &redis_url])?;
        if wanted(NATIVE_NETWORKED) {
            println!("{NATIVE_NETWORKED}");
            let servers = [
                format!("--mysql={}", database.url("native")),
                format!("--redis={redis_url}"),
                format!("--cpu-of={},{}", database.id(), redis.id()),
                "--window-ms=400".to_owned(),
            ];
            let file = folder.join(format!("{NATIVE_NETWORKED}.json"));
            tell(Command::new(&native).args(servers).arg("--json"), &file)?;
            written.push(file);
        }
    }
    if wanted("native") {
        println!("native");
        let file = folder.join("native.json");
        tell(Command::new(&native).arg("--json"), &file)?;
        written.push(file);
    }
    if !samples.is_empty() {
        let file = folder.join("profile.json");
        let mut counts = Command::new(&mpim);
        tell(counts.args(["bench", "profile", "--json"]).args(&samples), &file)?;
        written.push(file);
    }
    report(&mpim, &written, &folder.join("report.html"))
}

/// Holds idle connections of several nodes at once; what each tells, one after the other, in one file.
fn many(mpim: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    let part = |node: usize| folder.join(format!("{MANY}-{node}.part"));
    std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..NODES)
            .map(|node| {
                let note = format!("one of {NODES} nodes on this machine that hold as many at the same time");
                scope.spawn(move || {
                    let mut bench = Command::new(mpim);
                    bench.arg("bench").args(IDLE).args(["--json", "--note", &note]);
                    tell(&mut bench, &part(node))
                })
            })
            .collect();
        let panicked = |_| Failure("a measurement panicked".to_owned());
        nodes.into_iter().try_for_each(|node| node.join().map_err(panicked)?)
    })?;
    let file = folder.join(format!("{MANY}.json"));
    let mut all = Vec::new();
    for part in (0..NODES).map(part) {
        all.extend(std::fs::read(&part).map_err(|error| Failure::of(&part, &error))?);
        std::fs::remove_file(&part).map_err(|error| Failure::of(&part, &error))?;
    }
    std::fs::write(&file, all).map_err(|error| Failure::of(&file, &error))?;
    Ok(file)
}

/// Runs a program, whose output goes into a file.
fn tell(program: &mut Command, file: &Path) -> Result<(), Failure> {
    let out = File::create(file).map_err(|error| Failure::of(file, &error))?;
    let status = program
        .env("MPIM_LOG", "warn")
        // With it, errors that are part of ordinary work keep where they came from: a fresh sandbox costs half as much again.
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(out)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(Failure(format!("{program:?} failed: {other:?}"))),
    }
}

fn report(mpim: &Path, files: &[PathBuf], page: &Path) -> Result<(), Failure> {
    if files.is_empty() {
        return Ok(());
    }
    let status = Command::new(mpim)
        .args(["bench", "report"])
        .args(files)
        .arg("-o")
        .arg(page)
        .status();
    match status {
        Ok(status) if status.success() => {
            println!("{}", page.display());
            Ok(())
        }
        other => Err(Failure(format!("the report failed: {other:?}"))),
    }
}
