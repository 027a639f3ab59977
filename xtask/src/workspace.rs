//! Where things are in the checkout, and how a failure is told.

use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

/// Why a command failed; a line for people.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// A failure at a file or a folder.
    pub(crate) fn of(path: &Path, reason: &dyn fmt::Display) -> Self {
        Self(format!("{}: {reason}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The checkout.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from.
    pub(crate) fn here() -> Result<Self, Failure> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        match package.parent() {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(Failure::of(package, &"has no folder above it")),
        }
    }

    /// A place in the checkout.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The folder of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it builds.
    pub(crate) fn artefacts(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.path("target"), |folder| self.root.join(folder))
    }
}

/// The entries of a folder, in the order of their names; none when there is no such folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect()),
    };
    let mut paths: Vec<PathBuf> = listed.map_err(|error| Failure::of(folder, &error))?;
    paths.sort();
    Ok(paths)
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::of(path, &error))
}

/// Writes a file, and the folders above it, unless it has these bytes already: then its time stays, and nothing that
/// depends on it is built again.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let above = path.parent().map_or(Ok(()), fs::create_dir_all);
    above
        .and_then(|()| fs::write(path, bytes))
        .map_err(|error| Failure::of(path, &error))
}

/// Removes the files of a folder that are not among these.
pub(crate) fn keep_only(folder: &Path, files: &[PathBuf]) -> Result<(), Failure> {
    for stray in entries(folder)?
        .iter()
        .filter(|path| path.is_file() && !files.contains(path))
    {
        fs::remove_file(stray).map_err(|error| Failure::of(stray, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Failure, entries, keep_only, write};

    #[test]
    fn a_file_is_written_only_when_it_differs() -> Result<(), Failure> {
        let folder = std::env::temp_dir().join(format!("xtask-write-{}", std::process::id()));
        let path = folder.join("above/file");
        let time = || {
            fs::metadata(&path)
                .and_then(|file| file.modified())
                .map_err(|error| Failure::of(&path, &error))
        };
        write(&path, b"one")?;
        let written = time()?;
        write(&path, b"one")?;
        assert_eq!(time()?, written);
        write(&path, b"two")?;
        assert_eq!(fs::read(&path).ok(), Some(b"two".to_vec()));
        keep_only(&folder.join("above"), &[])?;
        assert!(entries(&folder.join("above"))?.is_empty());
        fs::remove_dir_all(&folder).map_err(|error| Failure::of(&folder, &error))
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() -> Result<(), Failure> {
        assert!(entries(&std::env::temp_dir().join("xtask-no-such-folder"))?.is_empty());
        Ok(())
    }
}
