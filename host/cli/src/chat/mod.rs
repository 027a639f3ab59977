//! `mpim chat`: a person at a terminal. This module opens the session; [`life`] lives it.

mod acquaintance;
mod arrival;
mod calls;
mod clock;
mod heard;
mod life;
mod line;
mod names;
mod session;
mod terminal;
mod trouble;
mod typed;

use clap::Args;
use client::address::{Address, DEFAULT_URL};
use client::error::{Error, Refusal};
use client::params::{Login, Registration};
use client::records::{Grant, Int};
use client::socket::Client;
use tokio::sync::mpsc;

use crate::failure::{Exit, Failure};
use crate::help::exit_codes;
use session::Session;
use terminal::Screen;

/// The class of devices that a terminal belongs to.
const DEVICE_CLASS: &str = "terminal";
const DEVICE_BYTES: usize = 64;

/// Chats on the terminal. The account is made when the name is free.
///
/// Type /help for the commands. A lost connection is replaced by itself; what was missed meanwhile is shown, each
/// message once. A login of the same user on another terminal may end this one, which then exits with 5.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  mpim chat --user ann\n",
    "  printf '@bob hello\\n' | MPIM_PASSWORD='correct horse' mpim chat --user ann\n\n",
    exit_codes!()
))]
pub(crate) struct Chat {
    /// Where the server is.
    #[arg(long, default_value = DEFAULT_URL)]
    url: Address,
    /// The name of the account.
    #[arg(long)]
    user: String,
    /// The password; else it is taken from the environment variable MPIM_PASSWORD, else asked for.
    #[arg(long)]
    password: Option<String>,
}

/// Logs in and chats until the user leaves.
pub(crate) async fn run(chat: Chat) -> Result<(), Failure> {
    let mut lines = terminal::lines();
    let password = match chat.password.clone().or_else(|| std::env::var("MPIM_PASSWORD").ok()) {
        Some(password) => password,
        None => terminal::password(&chat.user, &mut lines).await?,
    };
    let screen = Screen::new();
    let mut client = Client::connect(&chat.url).await?;
    let grant = enter(&mut client, &chat.user, &password, &screen).await?;
    live(Session::new(chat.url, client, grant, &chat.user, screen), lines).await
}

async fn live(mut session: Session, lines: mpsc::Receiver<String>) -> Result<(), Failure> {
    session.live(lines).await?;
    session.leave().await;
    Ok(())
}

/// Logs in; when that is refused and the name is free, makes the account first.
async fn enter(client: &mut Client, name: &str, password: &str, screen: &Screen) -> Result<Grant, Failure> {
    let device = device();
    let login = Login {
        name,
        password,
        device: &device,
        device_class: DEVICE_CLASS,
    };
    match client.call::<_, Grant>("login.login", &login).await {
        Err(Error::Refused(refusal)) if refusal.code == "unauthenticated" => {
            register(client, name, password, refusal).await?;
            screen.whisper(&format!("* the account {name} was made"))?;
            Ok(client.call("login.login", &login).await?)
        }
        other => Ok(other?),
    }
}

/// A name that is taken means that the password was wrong.
async fn register(client: &mut Client, name: &str, password: &str, login: Refusal) -> Result<(), Failure> {
    match client
        .call::<_, Int>("login.register", &Registration { name, password })
        .await
    {
        Ok(_) => Ok(()),
        Err(Error::Refused(refusal)) if refusal.code == "already_exists" => Err(Failure {
            exit: Exit::Refused,
            message: Error::Refused(login).to_string(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// What this device is called: the name of the machine, where there is one.
fn device() -> String {
    let named = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let name = named.unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.len() > DEVICE_BYTES {
        DEVICE_CLASS.to_owned()
    } else {
        name
    }
}
