//! The data folder of a node: taken by one process, with the secrets that are kept in it.

use std::path::Path;

use anyhow::Context as _;
use runtime::{create_private, hex};

/// Makes the folder and takes it for this process.
pub(crate) fn claim(data: &Path) -> anyhow::Result<std::fs::File> {
    create_private(data).with_context(|| format!("cannot make the data folder {}", data.display()))?;
    let path = data.join("mpim.lock");
    let file = std::fs::File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("the data folder {} is in use by another mpim", data.display())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// The least length of a token that was chosen by somebody.
const TOKEN_LETTERS: usize = 16;

/// The token of the operator.
pub(crate) fn operator_token(data: &Path, given: Option<String>) -> anyhow::Result<String> {
    let Some(token) = given else {
        return kept_secret(&data.join("operator.token"), 32);
    };
    anyhow::ensure!(
        token.len() >= TOKEN_LETTERS && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "the operator's token must have at least {TOKEN_LETTERS} characters, all of them visible ASCII"
    );
    Ok(token)
}

/// What tells this data folder from every other.
pub(crate) fn identity(data: &Path) -> anyhow::Result<String> {
    kept_secret(&data.join("node.id"), 16)
}

/// Random bytes in hexadecimal, made at the first start, readable by the owner alone.
fn kept_secret(path: &Path, bytes: usize) -> anyhow::Result<String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::read_to_string(path) {
        Ok(token) if !token.trim().is_empty() => return Ok(token.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let token = hex(&random);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(file, "{token}").with_context(|| format!("cannot write {}", path.display()))?;
    Ok(token)
}
