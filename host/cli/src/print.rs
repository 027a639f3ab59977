//! Lines for whoever reads the standard output.

use std::io::{self, Write};

use crate::failure::Failure;

/// Prints a line; a reader that went away is a failure, not a panic.
pub(crate) fn print(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::other(format!("cannot print: {error}")))
}
