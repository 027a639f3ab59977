//! How cargo is called: always in the checkout, and as if nobody had called this program with it.

use std::ffi::OsString;
use std::process::Command;

use crate::workspace::{Failure, Workspace};

/// Runs cargo in the checkout and waits for it.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<(), Failure> {
    let told = || format!("cargo {}", arguments.join(" "));
    match command(workspace).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!("`{}` failed: {status}", told()))),
        Err(error) => Err(Failure(format!("`{}` cannot be run: {error}", told()))),
    }
}

/// Cargo in the checkout, without arguments yet.
pub(crate) fn command(workspace: &Workspace) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(workspace.root());
    // What `cargo run` says about this package is not true of the ones that are built.
    for variable in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_") {
            command.env_remove(variable);
        }
    }
    command
}
