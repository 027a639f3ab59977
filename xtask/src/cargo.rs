//! How cargo is called: always with the same environment, so that no call undoes what another has built.

use std::ffi::OsString;
use std::process::Command;

use crate::workspace::{Failure, Workspace};

/// Names the folder of the bundled application to the build of the host.
pub(crate) const BUNDLE_VARIABLE: &str = "MPIM_BUNDLE";

/// Runs cargo in the checkout and waits for it.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace.root())
        .env(BUNDLE_VARIABLE, workspace.path("target/bundle"))
        .args(arguments);
    // What `cargo run` says about this package is not true of the ones that are built.
    for variable in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_") {
            command.env_remove(variable);
        }
    }
    let told = || format!("cargo {}", arguments.join(" "));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!("`{}` failed: {status}", told()))),
        Err(error) => Err(Failure(format!("`{}` cannot be run: {error}", told()))),
    }
}
