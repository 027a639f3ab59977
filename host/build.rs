//! Bundles the application that `MPIM_BUNDLE` names, a folder with `spin.toml` and the files that it
//! names, into the binary. Without it the binary bundles none, and wants a manifest.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=MPIM_BUNDLE");
    println!("cargo::rerun-if-changed=../migrations");
    println!("cargo::rerun-if-changed=../wit");
    let mut files = Vec::new();
    if let Some(folder) = env::var_os("MPIM_BUNDLE").map(PathBuf::from) {
        println!("cargo::rerun-if-changed={}", folder.display());
        collect(&folder, &folder, &mut files)?;
        files.sort();
    }
    let mut code = String::from(
        "/// Every file of the bundled application: its path from the manifest's folder, and its bytes.\n\
         pub static FILES: &[(&str, &[u8])] = &[\n",
    );
    for (name, path) in files {
        // Writing into a String cannot fail.
        let _ = writeln!(code, "    ({name:?}, include_bytes!({path:?})),");
    }
    code.push_str("];\n");
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(out.join("bundle.rs"), code)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.to_string_lossy().into_owned(), path.clone()));
        }
    }
    Ok(())
}
