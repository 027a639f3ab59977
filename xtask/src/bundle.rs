//! The folder that the binary is built around: the manifest, and each component where the manifest names it.

use std::path::PathBuf;

use crate::workspace::{Failure, Workspace, entries, keep_only, text, write};

const MANIFEST: &str = "spin.toml";

/// Lays out `target/bundle`.
pub(crate) fn lay_out(workspace: &Workspace) -> Result<(), Failure> {
    let bundle = workspace.path("target/bundle");
    let manifest = text(&workspace.path(MANIFEST))?;
    let mut placed = vec![bundle.join(MANIFEST)];
    write(&bundle.join(MANIFEST), manifest.as_bytes())?;
    for file in components(&manifest) {
        let component = workspace.path(file);
        let bytes = std::fs::read(&component).map_err(|error| Failure::of(&component, &error))?;
        let path = bundle.join(file);
        write(&path, &bytes)?;
        placed.push(path);
    }
    remove_strays(bundle, &placed)
}

/// The files of the components of a manifest, each alone: those of `source` are composed for Spin.
fn components(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("component")?.trim_start().strip_prefix('='))
        .filter_map(|value| Some(value.trim().strip_prefix('"')?.split_once('"')?.0))
        .filter(|file| file.ends_with(".wasm"))
        .collect()
}

/// What an older manifest named is bundled no longer.
fn remove_strays(folder: PathBuf, placed: &[PathBuf]) -> Result<(), Failure> {
    keep_only(&folder, placed)?;
    entries(&folder)?
        .into_iter()
        .filter(|path| path.is_dir())
        .try_for_each(|below| remove_strays(below, placed))
}

#[cfg(test)]
mod tests {
    use super::components;

    #[test]
    fn the_components_of_all_functions_are_found_and_no_composed_one() {
        let manifest = "[[trigger.http]]\ncomponent = \"login\"\n[component.login]\nsource = \"target/spin/login.wasm\"\n\
                        [component.login.tool.mpim]\ncomponent = \"target/components/login.wasm\" # alone\n\
                        components = 3\n  component=\"a.wasm\"\n";
        assert_eq!(components(manifest), ["target/components/login.wasm", "a.wasm"]);
    }
}
