//! `mpim call`: one method, one answer.

use clap::Args;
use client::address::{Address, DEFAULT_URL};
use client::error::Error;
use client::http::{self, Method};
use serde_json::Value;

use crate::failure::Failure;
use crate::help::exit_codes;
use crate::print::print;

/// Calls one method over HTTP and prints its result as JSON.
///
/// The parameters are those of the method in `wit/`, in snake_case and without `caller`. On an error the reason,
/// its code and whether a retry may help go to the standard error.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim call login register '{\"name\":\"ann\",\"password\":\"correct horse\"}'\n",
    "  mpim call contacts find '{\"name\":\"bob\"}' --token \"$TOKEN\"\n\n",
    exit_codes!()
))]
pub(crate) struct Call {
    /// The function, as `mpim functions` lists it.
    #[arg(value_parser = name)]
    function: String,
    /// The method, without the name of the function.
    #[arg(value_parser = name)]
    method: String,
    /// The parameters: a JSON object.
    #[arg(default_value = "{}", value_parser = object)]
    json: String,
    /// Where the server is.
    #[arg(long, default_value = DEFAULT_URL)]
    url: Address,
    /// The token of a login; also taken from the environment variable MPIM_TOKEN.
    #[arg(long)]
    token: Option<String>,
}

/// Makes the call.
pub(crate) async fn run(call: Call) -> Result<(), Failure> {
    let token = call.token.or_else(|| std::env::var("MPIM_TOKEN").ok());
    let path = format!("/v1/{}/{}", call.function, call.method);
    let what = format!("{}.{}", call.function, call.method);
    let answer = http::ask(&call.url, Method::POST, &path, token.as_deref(), call.json, &what).await?;
    let text = std::str::from_utf8(&answer).map_err(|error| Error::Unreadable(error.to_string()))?;
    print(text.trim_end())
}

/// Names go into the path of the request as they are.
fn name(text: &str) -> Result<String, String> {
    let valid = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if valid {
        Ok(text.to_owned())
    } else {
        Err("a name has letters, digits and hyphens".to_owned())
    }
}

fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => Err("the parameters are not a JSON object".to_owned()),
        Err(error) => Err(format!("the parameters are no JSON: {error}")),
    }
}
