//! What a session asks of the service, over as many connections as it takes: a lost one is replaced here.

use std::time::Duration;

use client::error::Error;
use client::frames;
use client::params::Resume;
use client::socket::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::session::Session;
use super::trouble::Trouble;
use crate::failure::{Exit, Failure};

const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MOST: Duration = Duration::from_secs(10);
/// How often a request that the server was too full for is made again.
const RETRIES: u32 = 6;

impl Session {
    /// Asks something that may be asked twice, over as many connections as it takes.
    pub(super) async fn ask<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, Trouble> {
        let text = self.ask_text(method, params).await?;
        Ok(frames::read(&text)?)
    }

    /// As [`Session::ask`], but gives the JSON, for a caller that borrows from it.
    pub(super) async fn ask_text<P: Serialize>(&mut self, method: &str, params: &P) -> Result<String, Trouble> {
        let mut backoff = BACKOFF_FIRST;
        let mut tries = 0;
        loop {
            match self.client.call_text(method, params).await {
                Err(Error::Refused(refusal)) if refusal.retryable && tries < RETRIES => {
                    tries += 1;
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MOST);
                }
                Err(error @ (Error::Closed(_) | Error::Late(_))) => self.restore(error).await?,
                other => return Ok(other?),
            }
        }
    }

    /// Asks something that must not be asked twice. When the connection is lost, whether it was done is unknown.
    pub(super) async fn ask_once<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, Trouble> {
        match self.client.call(method, params).await {
            Err(error @ (Error::Closed(_) | Error::Late(_))) => {
                self.restore(error).await?;
                Err(Trouble::Told(Error::Late(format!(
                    "{method}, which may be done or not"
                ))))
            }
            other => Ok(other?),
        }
    }

    /// Replaces a lost connection, however long that takes, and has everything pulled that came meanwhile.
    pub(super) async fn restore(&mut self, lost: Error) -> Result<(), Failure> {
        if !lost.is_connection() {
            return Err(lost.into());
        }
        self.hear_the_last()?;
        self.screen.whisper(&format!("* {lost}; connecting again"))?;
        let mut backoff = BACKOFF_FIRST;
        self.client = loop {
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MOST);
            match self.resume().await {
                Ok(client) => break client,
                Err(Error::Refused(refusal)) if refusal.code == "unauthenticated" => {
                    let message = "the session was ended while the connection was lost".to_owned();
                    return Err(Failure {
                        exit: Exit::Kicked,
                        message,
                    });
                }
                Err(Error::Refused(refusal)) if !refusal.retryable => return Err(Error::Refused(refusal).into()),
                Err(Error::Unreadable(reason)) => return Err(Error::Unreadable(reason).into()),
                Err(_) => {}
            }
        };
        self.screen.whisper("* connected again")?;
        self.heard_at = Instant::now();
        self.look_for_groups = true;
        self.inbox.distrust();
        Ok(())
    }

    async fn resume(&self) -> Result<Client, Error> {
        let mut client = Client::connect(&self.address).await?;
        let _: Value = client.call("connection.resume", &Resume { token: &self.token }).await?;
        Ok(client)
    }

    /// A frame came: its time counts for the pull that looks for lost ones.
    pub(super) fn hear(&mut self, text: &str) -> Result<(), Failure> {
        self.heard_at = Instant::now();
        self.tell(text)
    }

    /// The frames that came before the connection ended, while a call waited: shown, not lost. A kick among
    /// them says why it ended.
    fn hear_the_last(&mut self) -> Result<(), Failure> {
        while let Some(text) = self.client.take_waiting() {
            self.hear(&text)?;
        }
        Ok(())
    }
}
