//! Composes the application for Spin. The components must be there.

use crate::cargo;
use crate::components::{PROFILE, TARGET};
use crate::workspace::{Failure, Workspace};

/// Writes the edges, builds them, and puts everything together into `target/spin`.
pub(crate) fn compose(workspace: &Workspace) -> Result<(), Failure> {
    let step = |step| {
        cargo::run(
            workspace,
            &["run", "--quiet", "--release", "--package", "compose", "--", step],
        )
    };
    step("edges")?;
    let edges = workspace.path("target/spin/edges/Cargo.toml");
    let target = workspace.artefacts();
    let (edges, target) = (edges.to_string_lossy(), target.to_string_lossy());
    let build = [
        "build",
        "--profile",
        PROFILE,
        "--target",
        TARGET,
        "--manifest-path",
        &*edges,
        "--target-dir",
        &*target,
    ];
    cargo::run(workspace, &build)?;
    step("join")
}
