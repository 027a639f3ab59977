//! `mpim functions`: what a server runs.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use client::address::{Address, DEFAULT_URL};
use client::error::Error;
use client::frames;
use client::http::{self, Method as HttpMethod};
use client::text::clean;
use serde::Deserialize;

use crate::failure::Failure;
use crate::help::{DEFAULT_DATA, exit_codes};
use crate::print::print;

/// How much of a version is enough to tell it from others.
const VERSION_CHARS: usize = 12;

/// Lists the functions of a server: their methods, what they import, and their sandboxes.
///
/// The operator's token is read from the data folder of the server, unless it is given.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim functions\n",
    "  mpim functions --json --url http://10.0.0.7:7080 --data /var/lib/mpim\n\n",
    exit_codes!()
))]
pub(crate) struct Functions {
    /// Prints the answer of the server as it is.
    #[arg(long)]
    json: bool,
    /// Where the server is.
    #[arg(long, default_value = DEFAULT_URL)]
    url: Address,
    /// The data folder of the server.
    #[arg(long, default_value = DEFAULT_DATA)]
    data: PathBuf,
    /// The token of the operator, where the server was given one.
    #[arg(long, value_name = "TOKEN", env = "MPIM_OPERATOR_TOKEN", hide_env_values = true)]
    operator_token: Option<String>,
}

impl Functions {
    fn token(&self) -> Result<String, Failure> {
        if let Some(token) = &self.operator_token {
            return Ok(token.clone());
        }
        let path = self.data.join("operator.token");
        std::fs::read_to_string(&path)
            .map_err(|error| Failure::other(format!("cannot read the operator's token {}: {error}", path.display())))
    }
}

/// Asks and prints.
pub(crate) async fn run(functions: Functions) -> Result<(), Failure> {
    let token = functions.token()?;
    let what = "the list of functions";
    let answer = http::ask(
        &functions.url,
        HttpMethod::GET,
        "/admin/functions",
        Some(token.trim()),
        String::new(),
        what,
    )
    .await?;
    let text = std::str::from_utf8(&answer).map_err(|error| Error::Unreadable(error.to_string()))?;
    if functions.json {
        return print(text.trim_end());
    }
    let listing: Listing = frames::read(text)?;
    print(clean(&listing.table(), true).trim_end())
}

#[derive(Debug, Deserialize)]
struct Listing {
    functions: Vec<Function>,
    remote: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    version: String,
    methods: Vec<Method>,
    imports: Vec<String>,
    sandboxes: Sandboxes,
}

#[derive(Debug, Deserialize)]
struct Method {
    name: String,
    interface: String,
    public: bool,
    needs_caller: bool,
}

#[derive(Debug, Deserialize)]
struct Sandboxes {
    warm: u64,
    busy: u64,
    max: u64,
}

impl Listing {
    fn table(&self) -> String {
        let mut out = String::new();
        for function in &self.functions {
            // Writing to a string cannot fail.
            let _ = function.write(&mut out);
        }
        if let Some(url) = &self.remote {
            let _ = writeln!(out, "the functions are remote, at {url}");
        }
        out
    }
}

impl Function {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Sandboxes { warm, busy, max } = self.sandboxes;
        let version: String = self.version.chars().take(VERSION_CHARS).collect();
        writeln!(
            out,
            "{}  version {version}  sandboxes {busy} busy, {warm} warm, {max} at most",
            self.name
        )?;
        let width = self.methods.iter().map(|method| method.name.len()).max().unwrap_or(0);
        for method in &self.methods {
            let access = match (method.public, method.needs_caller) {
                (true, true) => "public, for logged-in users",
                (true, false) => "public",
                (false, _) => "private",
            };
            writeln!(out, "  {:width$}  {access}  ({})", method.name, method.interface)?;
        }
        if !self.imports.is_empty() {
            writeln!(out, "  imports {}", self.imports.join(", "))?;
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::Listing;

    #[test]
    fn remote_functions_are_told_by_their_address() -> Result<(), serde_json::Error> {
        let listing: Listing = serde_json::from_str(r#"{"functions":[],"remote":"http://10.0.0.7:3000"}"#)?;
        assert_eq!(listing.table(), "the functions are remote, at http://10.0.0.7:3000\n");
        Ok(())
    }

    #[test]
    fn the_table_tells_who_may_call_a_method() -> Result<(), serde_json::Error> {
        let listing: Listing = serde_json::from_str(
            r#"{"functions":[{"name":"login","version":"0123456789abcdef","methods":[
                {"name":"register","interface":"mpim:im/login@0.1.0","public":true,"needs_caller":false},
                {"name":"logout","interface":"mpim:im/login@0.1.0","public":true,"needs_caller":true},
                {"name":"check-sessions","interface":"mpim:im/session-check@0.1.0","public":false,"needs_caller":false}],
                "imports":["mpim:host/sql@0.1.0"],"sandboxes":{"warm":2,"busy":1,"max":16}}]}"#,
        )?;
        assert_eq!(
            listing.table(),
            "login  version 0123456789ab  sandboxes 1 busy, 2 warm, 16 at most\n  \
             register        public  (mpim:im/login@0.1.0)\n  \
             logout          public, for logged-in users  (mpim:im/login@0.1.0)\n  \
             check-sessions  private  (mpim:im/session-check@0.1.0)\n  \
             imports mpim:host/sql@0.1.0\n\n"
        );
        Ok(())
    }
}
