//! The benchmarks, one after the other: `mpim bench` on embedded storage, then on a private MariaDB and Redis, and
//! native code against components. What each leaves is JSON in one folder, and a page with plots of all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// The same for what is measured with servers, too.
const NETWORKED: &[(&str, &[&str])] = &[
    ("networked-http", &["http"]),
    ("networked-send", &["send", "--repeat", "7"]),
    ("networked-send-rates", &["send", "--rate", "500,1000,2000"]),
];

const NOTE: &str = "MariaDB with innodb_flush_log_at_trx_commit=1, Redis without persistence, all on this machine";

/// Measures what is named, or everything.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<(), Failure> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let folder = workspace.artefacts().join("bench");
    std::fs::create_dir_all(&folder).map_err(|error| Failure::of(&folder, &error))?;
    let mpim = workspace.artefacts().join("release/mpim");
    let mut written = Vec::new();
    let mut bench = |name: &str, arguments: &[String]| -> Result<(), Failure> {
        println!("{name}");
        let file = folder.join(format!("{name}.json"));
        tell(Command::new(&mpim).arg("bench").args(arguments).arg("--json"), &file)?;
        written.push(file);
        Ok(())
    };
    let owned = |arguments: &[&str]| {
        arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect::<Vec<_>>()
    };
    for (name, arguments) in EMBEDDED.iter().filter(|(name, _)| wanted(name)) {
        bench(name, &owned(arguments))?;
    }
    if NETWORKED.iter().any(|(name, _)| wanted(name)) {
        let (database, redis) = (Mariadb::start(), Redis::start());
        let (mysql, redis_url) = (database.url("mpim"), redis.url());
        let beside = [
            format!("--cpu-of=mariadb={}", database.id()),
            format!("--cpu-of=redis={}", redis.id()),
            format!("--note={NOTE}"),
        ];
        for (name, arguments) in NETWORKED.iter().filter(|(name, _)| wanted(name)) {
            let place = match arguments.first() {
                Some(&"http") => vec![format!("--mysql={mysql}"), format!("--redis={redis_url}")],
                _ => vec![format!("--up=--mysql {mysql} --redis {redis_url}")],
            };
            bench(name, &[owned(arguments), place, beside.to_vec()].concat())?;
        }
    }
    if wanted("native") {
        println!("native");
        let native = workspace.artefacts().join("release/bench-native");
        tell(Command::new(native).arg("--json"), &folder.join("native.json"))?;
    }
    report(&mpim, &written, &folder.join("report.html"))
}

/// Runs a program, whose output goes into a file.
fn tell(program: &mut Command, file: &Path) -> Result<(), Failure> {
    let out = File::create(file).map_err(|error| Failure::of(file, &error))?;
    let status = program
        .env("MPIM_LOG", "warn")
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
