//! A cluster to try: a private MariaDB, a private Redis, and as many nodes as asked for, until interrupted.

use std::path::Path;
use std::process::{Child, Command};

use crate::workspace::{Failure, Workspace};
use servers::Watch;
use servers::mariadb::Mariadb;
use servers::redis::Redis;

/// How many nodes there may be.
const NODES_MAX: u16 = 32;
/// Where the first node listens; the others follow.
const FIRST_PORT: u16 = 7080;

/// Starts the servers and the nodes, says where they are, and waits until all nodes have ended. Nothing is kept.
pub(crate) fn run(workspace: &Workspace, nodes: &str) -> Result<(), Failure> {
    let nodes = match nodes.parse() {
        Ok(nodes @ 1..=NODES_MAX) => nodes,
        _ => return Err(Failure(format!("a cluster has 1 to {NODES_MAX} nodes, not `{nodes}`"))),
    };
    let binary = workspace.artefacts().join("release/mpim");
    let (database, redis) = (Mariadb::start(), Redis::start());
    let storage = [
        "--mysql".to_owned(),
        database.url("mpim"),
        "--redis".to_owned(),
        redis.url(),
    ];
    let folder = workspace.artefacts().join("cluster");
    let migrated = command(&binary, "migrate", &folder.join("migrate"), &storage).status();
    if !migrated.as_ref().is_ok_and(std::process::ExitStatus::success) {
        return Err(Failure(format!("the migration failed: {migrated:?}")));
    }
    let mut running = Vec::new();
    for number in 1..=nodes {
        let name = format!("node-{number}");
        let data = folder.join(&name);
        let node = start(&binary, &data, &name, number, &storage)?;
        // Ends with this process, however that ends.
        let watch = Watch::over(node.id(), &data);
        running.push((node, watch));
    }
    println!(
        "{nodes} nodes on {} and {}; stop them with Ctrl-C",
        redis.url(),
        database.url("mpim")
    );
    for (mut node, _watch) in running {
        node.wait().map_err(|error| Failure::of(&binary, &error))?;
    }
    Ok(())
}

fn start(binary: &Path, data: &Path, name: &str, number: u16, storage: &[String]) -> Result<Child, Failure> {
    command(binary, "up", data, storage)
        .args(["--listen", &format!("127.0.0.1:{}", FIRST_PORT + number - 1)])
        .args(["--node", name])
        .spawn()
        .map_err(|error| Failure::of(binary, &error))
}

fn command(binary: &Path, what: &str, data: &Path, storage: &[String]) -> Command {
    let mut command = Command::new(binary);
    command.arg(what).arg("--data").arg(data).args(storage);
    command
}
