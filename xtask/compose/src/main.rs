//! Composes an application for Spin, in two steps, with a build between them: `edges` writes a small component for each
//! function that answers HTTP and knows the function's types; `join` puts each of them, its function, the functions
//! that this one calls and the adapters together into one component without imports but those of the platform.
//!
//! Called by `cargo xtask spin`, in the folder of the checkout.

mod edges;
mod functions;
mod join;
mod manifest;
mod settings;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use functions::Functions;
use manifest::Manifest;

const USAGE: &str = "usage: compose edges|join";

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compose: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(step: Option<&str>) -> Result<()> {
    let root = std::env::current_dir()?;
    let manifest = Manifest::read(&root)?;
    let functions = Functions::read(&root, &manifest)?;
    let out = root.join("target/spin");
    match step {
        Some("edges") => edges::write_all(&root, &manifest, &functions, &out.join("edges")),
        Some("join") => join::all(&root, &manifest, &functions, &out),
        _ => bail!(USAGE),
    }
}

/// Writes a file, and its folder where that is missing, unless it says the same already: whoever builds from it sees
/// no change then.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)?;
    Ok(())
}
