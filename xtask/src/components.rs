//! Builds packages as components and puts them where the manifest and the tests look for them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{Failure, Workspace, entries, keep_only, text, write};
use crate::{cargo, section};

/// What components are built for.
pub(crate) const TARGET: &str = "wasm32-wasip2";
/// How they are built.
pub(crate) const PROFILE: &str = "component";

/// A package that is built as a component.
#[derive(Debug)]
struct Package {
    name: String,
    folder: PathBuf,
}

/// Builds the components of the application into `target/components`.
pub(crate) fn build(workspace: &Workspace) -> Result<(), Failure> {
    let packages = all(workspace)?;
    let wit = [wit(&workspace.path("wit/host"))?, wit(&workspace.path("wit/im"))?];
    compile(workspace, &packages)?;
    place(workspace, &packages, "components", |_| Ok(wit.to_vec()))
}

/// The functions, and the adapters for Spin.
fn all(workspace: &Workspace) -> Result<Vec<Package>, Failure> {
    let mut packages = packages(&workspace.path("components"))?;
    packages.extend(self::packages(&workspace.path("components/spin"))?);
    Ok(packages)
}

/// Builds the guests that the tests run into `target/fixtures`. There may be none.
pub(crate) fn build_fixtures(workspace: &Workspace) -> Result<(), Failure> {
    let packages = packages(&workspace.path("tests/guests"))?;
    if packages.is_empty() {
        return Ok(());
    }
    compile(workspace, &packages)?;
    place(workspace, &packages, "fixtures", |package| {
        let own = wit(&package.folder.join("wit"))?;
        Ok(if own.is_empty() { Vec::new() } else { vec![own] })
    })
}

/// The packages in a folder of packages that are built as libraries to be loaded: the others only help them.
fn packages(folder: &Path) -> Result<Vec<Package>, Failure> {
    let mut packages = Vec::new();
    for folder in entries(folder)? {
        let manifest = folder.join("Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        let manifest_text = text(&manifest)?;
        if !manifest_text.contains("\"cdylib\"") {
            continue;
        }
        let name = package_name(&manifest_text).ok_or_else(|| Failure::of(&manifest, &"names no package"))?;
        packages.push(Package { name, folder });
    }
    Ok(packages)
}

/// The first `name` in a manifest is that of the package.
fn package_name(manifest: &str) -> Option<String> {
    let line = manifest.lines().find_map(|line| line.trim().strip_prefix("name"))?;
    let value = line.trim_start().strip_prefix('=')?.trim();
    Some(value.strip_prefix('"')?.split_once('"')?.0.to_owned())
}

/// The text of the package in a folder of WIT files; empty when there are none.
pub(crate) fn wit(folder: &Path) -> Result<String, Failure> {
    let files = entries(folder)?;
    let files = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"));
    Ok(section::package(
        files.map(|path| text(path)).collect::<Result<_, _>>()?,
    ))
}

fn compile(workspace: &Workspace, packages: &[Package]) -> Result<(), Failure> {
    have_target()?;
    let mut arguments = vec!["build", "--profile", PROFILE, "--target", TARGET];
    arguments.extend(packages.iter().flat_map(|package| ["--package", &package.name]));
    cargo::run(workspace, &arguments)
}

/// Adds the standard library for components where it is missing.
fn have_target() -> Result<(), Failure> {
    let rustc = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let library = rustc.ok().filter(|output| output.status.success());
    if library.is_some_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()) {
        return Ok(());
    }
    match Command::new("rustup").args(["target", "add", TARGET]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!("`rustup target add {TARGET}` failed: {status}"))),
        Err(_) => Err(Failure(format!(
            "the target {TARGET} is missing and there is no rustup to add it; \
             add the target with whatever installed Rust here"
        ))),
    }
}

/// Copies what was built to a folder below `target`, each with the text of its WIT.
fn place(
    workspace: &Workspace,
    packages: &[Package],
    folder: &str,
    wit: impl Fn(&Package) -> Result<Vec<String>, Failure>,
) -> Result<(), Failure> {
    let built = workspace.artefacts().join(TARGET).join(PROFILE);
    let folder = workspace.path("target").join(folder);
    let mut placed = Vec::new();
    for package in packages {
        let source = built.join(format!("{}.wasm", package.name.replace('-', "_")));
        let mut bytes = std::fs::read(&source).map_err(|error| Failure::of(&source, &error))?;
        if !section::is_component(&bytes) {
            return Err(Failure::of(&source, &"is no component"));
        }
        let packages = wit(package)?;
        if !packages.is_empty() {
            section::append(&mut bytes, &packages);
        }
        let path = folder.join(format!("{}.wasm", package.name));
        write(&path, &bytes)?;
        placed.push(path);
    }
    keep_only(&folder, &placed)
}

#[cfg(test)]
mod tests {
    use super::{all, package_name, wit};
    use crate::workspace::{Failure, Workspace};

    #[test]
    fn the_name_of_a_package_is_read_from_its_manifest() {
        let manifest = "[package]\nname = \"group-pull\"\nversion.workspace = true\n\n[lib]\nname = \"other\"\n";
        assert_eq!(package_name(manifest).as_deref(), Some("group-pull"));
        assert_eq!(package_name("[package]\n"), None);
    }

    #[test]
    fn the_crates_that_components_share_are_no_components() -> Result<(), Failure> {
        let packages = all(&Workspace::here()?)?;
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        assert!(names.contains(&"login") && names.contains(&"group-pull"));
        assert!(names.contains(&"spin-scope") && !names.contains(&"guest") && !names.contains(&"message"));
        Ok(())
    }

    #[test]
    fn the_text_of_a_package_begins_with_its_name() -> Result<(), Failure> {
        let workspace = Workspace::here()?;
        for (folder, name) in [("wit/host", "package mpim:host@"), ("wit/im", "package mpim:im@")] {
            let text = wit(&workspace.path(folder))?;
            let first = text.lines().find(|line| !line.starts_with("//"));
            assert!(first.is_some_and(|line| line.starts_with(name)), "{folder}");
        }
        Ok(())
    }
}
