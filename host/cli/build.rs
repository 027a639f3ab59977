//! Bundles the application in `target/bundle`, where `cargo xtask bundle` lays it out, into the binary. Where there is
//! none the binary bundles none, and wants a manifest.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    let root = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let folder = root.unwrap_or_default().join("../../target/bundle");
    println!("cargo::rerun-if-changed={}", folder.display());
    if folder.is_dir() {
        collect(&folder, &folder, &mut files)?;
        files.sort();
    }
    let mut code = String::from(
        "/// Every file of the bundled application: its path from the manifest's folder, and its bytes.\n\
         pub(crate) static FILES: &[(&str, &[u8])] = &[\n",
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
