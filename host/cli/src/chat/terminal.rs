//! The terminal: typed lines in, lines of the chat out. Everything that others wrote is made harmless here.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use client::text::clean;
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::print::print;

/// How many typed or piped lines are read ahead.
const LINES_AHEAD: usize = 64;

/// The standard input, by lines. The end of the input ends the channel.
pub(super) fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    // A thread that waits for a terminal cannot be ended, so nobody joins it: it ends with the process.
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Asks for a password; on a terminal it is not shown while it is typed.
pub(super) async fn password(name: &str, lines: &mut mpsc::Receiver<String>) -> Result<String, Failure> {
    let hidden = io::stdin().is_terminal().then(Hidden::begin);
    let mut out = io::stderr();
    let asked = write!(out, "password of {}: ", clean(name, false)).and_then(|()| out.flush());
    asked.map_err(|error| Failure::other(format!("cannot ask for the password: {error}")))?;
    let password = lines.recv().await;
    if hidden.is_some() {
        // The typed line break was hidden as well; a terminal that is gone does not miss it.
        let _ = writeln!(out);
    }
    password.ok_or_else(|| Failure::other("no password was given"))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden;

impl Hidden {
    fn begin() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        stty("echo");
    }
}

/// Where there is no `stty`, the password is shown: inconvenient, not wrong.
fn stty(setting: &str) {
    let _ = Command::new("stty").arg(setting).stderr(Stdio::null()).status();
}

/// Where the lines of the chat are printed.
#[derive(Debug)]
pub(super) struct Screen {
    styled: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            styled: io::stdout().is_terminal(),
        }
    }

    /// Prints what somebody said.
    pub(super) fn say(&self, line: &str) -> Result<(), Failure> {
        print(&clean(line, false))
    }

    /// Prints something less important.
    pub(super) fn whisper(&self, line: &str) -> Result<(), Failure> {
        let line = clean(line, false);
        match self.styled {
            true => print(&format!("\u{1b}[2m{line}\u{1b}[0m")),
            false => print(&line),
        }
    }

    /// Prints our own text of several lines.
    pub(super) fn explain(&self, text: &str) -> Result<(), Failure> {
        print(text)
    }
}
