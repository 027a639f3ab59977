//! A server of MySQL for tests, which Debian's stable release lacks: the packages of the unstable one, with all that they
//! depend on, unpacked into a folder of their own and run by their own loader. Nothing of it touches the system: apt is given
//! lists, a cache and a state of its own, and takes the packages from where the system takes its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo;
use crate::packages::is_there;
use crate::workspace::{Failure, Workspace, entries, text, write};

/// The package of the server.
const PACKAGE: &str = "mysql-server-core";

/// Gets the server, unless it is there, and runs what is asked of it: the promises of the relational store, and a story.
pub(crate) fn test(workspace: &Workspace) -> Result<(), Failure> {
    let server = server(workspace)?;
    let tests: [&[&str]; 2] = [
        &["-p", "conformance", "--", "--ignored", "on_mysql"],
        &["--workspace", "--test", "stories", "--", "--ignored", "mysql::"],
    ];
    for arguments in tests {
        let mut command = cargo::command(workspace);
        command.args(["test", "--release"]).args(arguments);
        let tested = command.env(servers::mysql::MYSQLD, &server).status();
        if !tested.as_ref().is_ok_and(std::process::ExitStatus::success) {
            return Err(Failure(format!(
                "`cargo test {}` failed: {tested:?}",
                arguments.join(" ")
            )));
        }
    }
    Ok(())
}

/// The program of the server: that of the environment, or else the one in the folder, which is fetched where it is absent.
fn server(workspace: &Workspace) -> Result<PathBuf, Failure> {
    if let Some(program) = std::env::var_os(servers::mysql::MYSQLD) {
        return Ok(program.into());
    }
    let folder = workspace.artefacts().join("mysql");
    let program = folder.join("mysqld");
    if version(&program).is_err() {
        fetch(&folder)?;
        write_program(&folder.join("root"), &program)?;
    }
    println!("{}", version(&program)?);
    Ok(program)
}

fn version(program: &Path) -> Result<String, Failure> {
    let told = Command::new(program).args(["--no-defaults", "--version"]).output();
    match told {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(output) => Err(Failure::of(program, &String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(Failure::of(program, &error)),
    }
}

/// Downloads the packages and unpacks them beside each other.
fn fetch(folder: &Path) -> Result<(), Failure> {
    for program in ["apt-get", "dpkg-deb"] {
        if !is_there(program) {
            return Err(Failure(format!(
                "no {program}: name a server with {}=/path/to/mysqld",
                servers::mysql::MYSQLD
            )));
        }
    }
    println!("getting {PACKAGE} from Debian unstable into {}", folder.display());
    let apt = folder.join("apt");
    for part in ["sources", "lists/partial", "archives/partial"] {
        let part = apt.join(part);
        fs::create_dir_all(&part).map_err(|error| Failure::of(&part, &error))?;
    }
    write(&apt.join("sources/unstable.sources"), unstable()?.as_bytes())?;
    // Nothing is installed as far as this apt knows, so that it gets everything down to the library of C.
    write(&apt.join("status"), b"")?;
    let at = |part: &str| apt.join(part).display().to_string();
    let settings = format!(
        "Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts \"{}\";\nDir::State::lists \"{}\";\n\
         Dir::State::status \"{}\";\nDir::Cache \"{}\";\nDir::Cache::archives \"{}\";\n\
         Acquire::Languages \"none\";\nDebug::NoLocking \"1\";\nAPT::Sandbox::User \"\";\n",
        at("sources"),
        at("lists"),
        at("status"),
        at(""),
        at("archives"),
    );
    let configuration = apt.join("apt.conf");
    write(&configuration, settings.as_bytes())?;
    let get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("APT_CONFIG", &configuration).args(arguments);
        done(command)
    };
    get(&["update"])?;
    get(&["install", "-y", "--download-only", "--no-install-recommends", PACKAGE])?;
    for package in entries(&apt.join("archives"))? {
        if package.extension().is_some_and(|extension| extension == "deb") {
            let mut command = Command::new("dpkg-deb");
            command.arg("-x").arg(&package).arg(folder.join("root"));
            done(command)?;
        }
    }
    Ok(())
}

fn done(mut command: Command) -> Result<(), Failure> {
    let status = command.stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(Failure(format!("`{command:?}` failed: {other:?}"))),
    }
}

/// The sources of the unstable release: from where the system has its own packages.
fn unstable() -> Result<String, Failure> {
    let mut files = entries(Path::new("/etc/apt/sources.list.d"))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sources"));
    for file in files {
        for stanza in text(&file)?.split("\n\n") {
            if let Some(unstable) = as_unstable(stanza) {
                return Ok(unstable);
            }
        }
    }
    let list = Path::new("/etc/apt/sources.list");
    let lines = text(list).unwrap_or_default();
    let found = lines
        .lines()
        .find_map(as_stanza)
        .and_then(|stanza| as_unstable(&stanza));
    found.ok_or_else(|| Failure("no sources of Debian under /etc/apt".to_owned()))
}

/// The same source with the suite of the unstable release; none for what is not Debian's archive itself.
fn as_unstable(stanza: &str) -> Option<String> {
    let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (uris, suites) = (field("URIs:")?, field("Suites:")?);
    let is_archive = field("Types:")?.split(' ').any(|kind| kind == "deb")
        && field("Components:")?.split(' ').any(|component| component == "main")
        && uris.trim_end_matches('/').ends_with("/debian")
        && !suites.contains("security");
    let signed = field("Signed-By:").map(|key| format!("Signed-By: {key}\n"));
    is_archive.then(|| {
        format!(
            "Types: deb\nURIs: {uris}\nSuites: sid\nComponents: main\n{}",
            signed.unwrap_or_default()
        )
    })
}

/// A line of the older kind of file, as a stanza of the newer.
fn as_stanza(line: &str) -> Option<String> {
    let mut words = line
        .split_whitespace()
        .filter(|word| !word.starts_with('[') && !word.ends_with(']'));
    match (words.next()?, words.next()?, words.next()?) {
        ("deb", uri, suite) => Some(format!(
            "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {}",
            words.collect::<Vec<_>>().join(" ")
        )),
        _ => None,
    }
}

/// A program that runs the server with the loader and the libraries of its own release.
fn write_program(root: &Path, program: &Path) -> Result<(), Failure> {
    let is_loader = |file: &PathBuf| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.starts_with("ld-linux"))
    };
    let folders = entries(&root.join("usr/lib"))?;
    let found = folders.iter().find_map(|folder| {
        let loader = entries(folder).ok()?.into_iter().find(is_loader)?;
        Some((loader, folder))
    });
    let Some((loader, libraries)) = found else {
        return Err(Failure::of(root, &"has no loader"));
    };
    let root = root.display();
    let (loader, libraries) = (loader.display(), libraries.display());
    let script = format!(
        "#!/bin/sh\nexec '{loader}' --library-path '{libraries}' '{root}/usr/sbin/mysqld' \"$@\" \
         --basedir='{root}/usr' --lc-messages-dir='{root}/usr/share/mysql' \
         --character-sets-dir='{root}/usr/share/mysql/charsets' --plugin-dir='{root}/usr/lib/mysql/plugin'\n"
    );
    write(program, script.as_bytes())?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).map_err(|error| Failure::of(program, &error))
}

#[cfg(test)]
mod tests {
    use super::{as_stanza, as_unstable};

    #[test]
    fn the_archive_of_the_system_is_asked_for_the_unstable_release() {
        let stable = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                      Components: main\nSigned-By: /key.gpg";
        let unstable = "Types: deb\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\n\
                        Signed-By: /key.gpg\n";
        assert_eq!(as_unstable(stable).as_deref(), Some(unstable));
        let other = stable.replace("/debian", "/node_20.x");
        assert_eq!(as_unstable(&other), None);
        let line = "deb [arch=amd64] http://mirror.example/debian bookworm main contrib";
        let from_line = as_stanza(line).and_then(|stanza| as_unstable(&stanza));
        assert!(from_line.is_some_and(|stanza| stanza.contains("Suites: sid")));
        assert_eq!(as_stanza("# deb http://mirror.example/debian bookworm main"), None);
    }
}
