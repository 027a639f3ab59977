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
    for source in sources(&manifest) {
        let component = workspace.path(source);
        let bytes = std::fs::read(&component).map_err(|error| Failure::of(&component, &error))?;
        let path = bundle.join(source);
        write(&path, &bytes)?;
        placed.push(path);
    }
    remove_strays(bundle, &placed)
}

/// The files that the components of a manifest are read from.
fn sources(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("source")?.trim_start().strip_prefix('='))
        .filter_map(|value| Some(value.trim().strip_prefix('"')?.split_once('"')?.0))
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
    use super::sources;

    #[test]
    fn the_sources_of_all_components_are_found() {
        let manifest = "[component.login]\nsource = \"target/components/login.wasm\" # built\n\
                        [component.login.tool.mpim]\nsources = 3\n[component.send]\n  source=\"a.wasm\"\n";
        assert_eq!(sources(manifest), ["target/components/login.wasm", "a.wasm"]);
    }
}
