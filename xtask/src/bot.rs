//! The component in Python among the guests of the tests: made by tools of its own, in an environment below `target`. What
//! the tools are is the business of its `requirements.txt`, what it does that of its WIT.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{Failure, Workspace, entries, text, write};
use crate::{components, packages, section};

const SOURCE: &str = "tests/guests/bot";
const WORLD: &str = "mpim:bot/bot-function@0.1.0";
/// The packages that the world is made of, its own last.
const WIT: [&str; 3] = ["wit/host", "wit/im", "tests/guests/bot/wit"];

/// Builds it into `target/fixtures/bot.wasm`, from scratch when one of its sources has changed.
pub(crate) fn build(workspace: &Workspace) -> Result<(), Failure> {
    let folder = workspace.path("target/bot");
    let (component, stamp) = (folder.join("bot.wasm"), folder.join("stamp"));
    let sources = hash(&sources(workspace)?)?;
    if !component.is_file() || text(&stamp).ok().as_ref() != Some(&sources) {
        packages::ensure_python()?;
        println!("building the bot");
        // Until it is built it is of no sources: who ends this in between leaves nothing that looks built.
        write(&stamp, b"")?;
        let environment = environment(workspace, &folder)?;
        componentize(workspace, &folder, &environment, &component)?;
        write(&stamp, sources.as_bytes())?;
    }
    let mut bytes = fs::read(&component).map_err(|error| Failure::of(&component, &error))?;
    section::append(&mut bytes, &[components::wit(&workspace.path(SOURCE).join("wit"))?]);
    write(&workspace.path("target/fixtures/bot.wasm"), &bytes)
}

/// The files that the component is made of.
fn sources(workspace: &Workspace) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for folder in [SOURCE].iter().chain(&WIT) {
        files.extend(entries(&workspace.path(folder))?);
    }
    files.retain(|path| path.is_file());
    Ok(files)
}

/// Another compiler of this program may hash otherwise: then the component is built once more.
fn hash(files: &[PathBuf]) -> Result<String, Failure> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        (file.file_name(), text(file)?).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// The folder of the programs of a Python environment that has what `requirements.txt` asks for, and nothing else.
fn environment(workspace: &Workspace, folder: &Path) -> Result<PathBuf, Failure> {
    let wanted = workspace.path(SOURCE).join("requirements.txt");
    let environment = folder.join("environment");
    let programs = environment.join("bin");
    let installed = environment.join("requirements.txt");
    if text(&installed).is_ok_and(|installed| text(&wanted).is_ok_and(|wanted| wanted == installed)) {
        return Ok(programs);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&environment))?;
    let mut install = Command::new(programs.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    // Nothing but what is named, with the hash that it is named with, and no code of a package is run to install it.
    install.args([
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--requirement",
    ]);
    run(install.arg(&wanted))?;
    write(&installed, text(&wanted)?.as_bytes())?;
    Ok(programs)
}

/// From a copy of the code: what Python compiles of it is kept beside it.
fn componentize(workspace: &Workspace, folder: &Path, programs: &Path, component: &Path) -> Result<(), Failure> {
    let code = folder.join("code");
    write(
        &code.join("app.py"),
        text(&workspace.path(SOURCE).join("app.py"))?.as_bytes(),
    )?;
    let mut tool = Command::new(programs.join("componentize-py"));
    tool.current_dir(workspace.root()).arg("--quiet");
    tool.args(WIT.iter().flat_map(|folder| ["--wit-path", folder]));
    tool.args(["--world", WORLD, "componentize", "app", "--python-path"]);
    run(tool.arg(code).arg("--output").arg(component))
}

fn run(command: &mut Command) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!("{command:?} failed: {status}"))),
        Err(error) => Err(Failure(format!("{command:?} cannot be run: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{hash, sources};
    use crate::workspace::{Failure, Workspace};

    #[test]
    fn a_change_of_a_source_is_noticed() -> Result<(), Failure> {
        let files = sources(&Workspace::here()?)?;
        for name in ["app.py", "requirements.txt", "bot.wit", "send.wit", "gateway.wit"] {
            let others: Vec<_> = files.iter().filter(|path| !path.ends_with(name)).cloned().collect();
            assert_eq!(others.len() + 1, files.len(), "{name}");
            assert_ne!(hash(&others)?, hash(&files)?, "{name}");
        }
        assert_eq!(hash(&files)?, hash(&files)?);
        Ok(())
    }
}
