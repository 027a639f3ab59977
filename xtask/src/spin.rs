//! Composes the application for Spin. The components must be there.

use std::process::Command;

use crate::cargo;
use crate::components::{PROFILE, TARGET};
use crate::packages;
use crate::workspace::{Failure, Workspace};

/// Writes the edges, builds them, and joins everything into `target/spin`.
pub(crate) fn compose(workspace: &Workspace) -> Result<(), Failure> {
    // With the features that the whole workspace asks of its dependencies, so that they are those of the tests.
    cargo::run(workspace, &["build", "--release", "--workspace", "--bin", "compose"])?;
    step(workspace, "edges")?;
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
    step(workspace, "join")
}

fn step(workspace: &Workspace, step: &str) -> Result<(), Failure> {
    let compose = workspace.artefacts().join("release/compose");
    let status = Command::new(&compose).arg(step).current_dir(workspace.root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!("{} {step} failed: {status}", compose.display()))),
        Err(error) => Err(Failure::of(&compose, &error)),
    }
}

/// The stories of what clients see.
const STORIES: [&str; 4] = ["chat::", "groups::", "login::", "social::"];

/// Those of them that are of our own host: they read the file of its embedded store, or meet its limits of rates.
const OF_OUR_HOST: [&str; 4] = [
    "login::guesses_of_a_password_are_bounded_for_each_name",
    "login::neither_tokens_nor_passwords_are_stored_in_clear",
    "social::a_node_that_is_told_to_stop_writes_down_who_was_there",
    "social::when_a_user_was_last_online_is_told_at_once_and_still_after_a_kill",
];

/// Tells the stories of what clients see with all functions on the stand-in for Spin, and on Spin itself where it is.
pub(crate) fn tell_all(workspace: &Workspace) -> Result<(), Failure> {
    // Of another package than the stories, so that they do not bring it along.
    cargo::run(
        workspace,
        &["build", "--release", "--workspace", "--bin", "spin-stand-in"],
    )?;
    tell(workspace, "stand-in")?;
    if packages::is_there("spin") {
        tell(workspace, "spin")?;
        let ignored = [
            "test",
            "--release",
            "--workspace",
            "--test",
            "stories",
            "--",
            "--ignored",
            "on_spin",
        ];
        return cargo::run(workspace, &ignored);
    }
    println!("xtask: ignored: the stories of clients, with their functions on spin: it is not on the PATH");
    Ok(())
}

fn tell(workspace: &Workspace, platform: &str) -> Result<(), Failure> {
    println!("xtask: the stories of clients, with their functions on {platform}");
    let mut command = cargo::command(workspace);
    command
        .env("MPIM_FUNCTIONS_ON", platform)
        .args(["test", "--release", "--workspace", "--test", "stories", "--"])
        .args(STORIES);
    for story in OF_OUR_HOST {
        command.args(["--skip", story]);
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure(format!(
            "stories with functions on {platform} failed: {status}"
        ))),
        Err(error) => Err(Failure(format!("cargo cannot be run: {error}"))),
    }
}
