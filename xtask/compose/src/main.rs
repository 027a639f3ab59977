//! Composes an application for Spin, in two steps, with a build between them: `edges` writes a small component for each
//! function that answers HTTP and knows the function's types; `join` composes each of them, its function, the functions
//! that this one calls and the adapters into one component without imports but those of the platform.
//!
//! Called by `cargo xtask spin`, in the folder of the checkout. Another application of the same functions, with other
//! settings, is joined by naming its manifest and the folder for what is made.

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

const USAGE: &str = "usage: compose edges|join [MANIFEST FOLDER]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compose: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    let root = std::env::current_dir()?;
    let (step, manifest, out) = match *arguments {
        [step] => (step, root.join("spin.toml"), root.join("target/spin")),
        [step, manifest, out] => (step, manifest.into(), out.into()),
        _ => bail!(USAGE),
    };
    let manifest = Manifest::read(&manifest)?;
    let functions = Functions::read(&root, &manifest)?;
    match step {
        "edges" => edges::write_all(&root, &manifest, &functions, &out.join("edges")),
        "join" => join::all(&root, &manifest, &functions, &out),
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
