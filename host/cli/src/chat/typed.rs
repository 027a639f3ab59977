//! What a typed line does.

use std::ops::ControlFlow;

use client::cursor::Source;
use client::error::Error;
use client::frames;
use client::params::{ByGroup, ByName, ByUser, History, Limit, Nothing, SendGroupMessage, SendMessage};
use client::records::{Conversation, Group, Int, Message, Receipt, Status, User};

use super::clock::{ago, now_ms};
use super::line::{HELP, Line};
use super::session::{Partner, Session};
use super::trouble::Trouble;
use crate::failure::Failure;

const NOBODY: &str = "! nobody to talk to; choose with /to NAME";
const HISTORY_LINES: u32 = 20;
const CONVERSATIONS: u32 = 200;

impl Session {
    /// Does what was typed; what the service refuses is told, and ends nothing. Breaks when the user leaves.
    pub(super) async fn obey(&mut self, typed: &str) -> Result<ControlFlow<()>, Failure> {
        match self.act(Line::read(typed)).await {
            Err(Trouble::Told(error)) => {
                self.screen.whisper(&format!("! {error}"))?;
                Ok(ControlFlow::Continue(()))
            }
            Err(Trouble::Fatal(failure)) => Err(failure),
            Ok(flow) => Ok(flow),
        }
    }

    async fn act(&mut self, line: Line<'_>) -> Result<ControlFlow<()>, Trouble> {
        match line {
            Line::Quit => return Ok(ControlFlow::Break(())),
            Line::Empty => {}
            Line::Help => self.screen.explain(HELP)?,
            Line::Unknown(why) => self.screen.whisper(&format!("! {why}"))?,
            Line::Say(text) => match self.partner {
                Some(partner) => self.say(partner, text).await?,
                None => self.screen.whisper(NOBODY)?,
            },
            Line::Direct { name, text } => {
                let user = self.find(name).await?;
                self.say(Partner::User(user), text).await?;
            }
            Line::To(name) => {
                let user = self.find(name).await?;
                self.partner = Some(Partner::User(user));
                self.screen
                    .whisper(&format!("* talking to {}", self.names.user(user)))?;
            }
            Line::Who(name) => self.who(name).await?,
            Line::Groups => self.groups().await?,
            Line::GroupCreate(name) => {
                let group: Group = self.ask_once("groups.create", &ByName { name }).await?;
                self.talk_to_group(&group)?;
            }
            Line::Group(id) => {
                let group = self.join(id).await?;
                self.talk_to_group(&group)?;
            }
            Line::History => self.history().await?,
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn say(&mut self, partner: Partner, content: &str) -> Result<(), Trouble> {
        self.sent += 1;
        let client_id = format!("{}{}", self.prefix, self.sent);
        let client_id = client_id.as_str();
        match partner {
            Partner::User(user) => {
                let message = SendMessage {
                    to: Int(user),
                    client_id,
                    content,
                };
                let receipt: Receipt = self.ask("send.send-message", &message).await?;
                self.conversations.insert(user, receipt.conversation.0);
            }
            Partner::Group(group) => {
                let message = SendGroupMessage {
                    group: Int(group),
                    client_id,
                    content,
                };
                let receipt: Receipt = self.ask("send.send-group-message", &message).await?;
                self.own_message(group, receipt.seq.0)?;
            }
        }
        Ok(())
    }

    /// The id of a user by name.
    async fn find(&mut self, name: &str) -> Result<u64, Trouble> {
        if let Some(id) = self.names.id(name) {
            return Ok(id);
        }
        let user: User = self.ask("contacts.find", &ByName { name }).await?;
        self.names.learn(user.id.0, &user.name);
        Ok(user.id.0)
    }

    async fn who(&mut self, name: &str) -> Result<(), Trouble> {
        let user = self.find(name).await?;
        let status: Status = self.ask("presence.get-status", &ByUser { user: Int(user) }).await?;
        let name = self.names.user(user);
        let state = match (status.online, status.last_seen) {
            (true, _) => format!("* {name} is online ({})", status.device_classes.join(", ")),
            (false, Some(at)) => format!("* {name} is offline, last seen {}", ago(at.0, now_ms())),
            (false, None) => format!("* {name} is offline"),
        };
        Ok(self.screen.whisper(&state)?)
    }

    async fn groups(&mut self) -> Result<(), Trouble> {
        let groups: Vec<Group> = self.ask("groups.mine", &Nothing {}).await?;
        for group in groups {
            self.names.learn_group(group.id.0, &group.name);
            self.screen.whisper(&format!(
                "* /group {}  {} ({} members)",
                group.id, group.name, group.members
            ))?;
        }
        Ok(())
    }

    /// Joins a group; a member of one by invitation only is one already.
    async fn join(&mut self, id: u64) -> Result<Group, Trouble> {
        let group = ByGroup { group: Int(id) };
        match self.ask("groups.join", &group).await {
            Err(Trouble::Told(Error::Refused(refusal))) if refusal.code == "forbidden" => {
                self.ask("groups.info", &group).await
            }
            other => other,
        }
    }

    fn talk_to_group(&mut self, group: &Group) -> Result<(), Trouble> {
        let id = group.id.0;
        self.names.learn_group(id, &group.name);
        self.partner = Some(Partner::Group(id));
        if group.fan_out == "read" && !self.inbox.follows(Source::Group(id)) {
            self.inbox.follow_unknown(Source::Group(id));
        }
        Ok(self.screen.whisper(&format!(
            "* talking to {} (/group {id}), {} members",
            group.name, group.members
        ))?)
    }

    async fn history(&mut self) -> Result<(), Trouble> {
        let conversation = match self.partner {
            None => return Ok(self.screen.whisper(NOBODY)?),
            Some(Partner::Group(group)) => Some(group),
            Some(Partner::User(user)) => self.conversation(user).await?,
        };
        let Some(conversation) = conversation else {
            return Ok(self.screen.whisper("* nothing was said yet")?);
        };
        let asked = History {
            conversation: Int(conversation),
            limit: HISTORY_LINES,
        };
        let answer = self.ask_text("pull-offline.history", &asked).await?;
        let messages: Vec<Message<'_>> = frames::read(&answer)?;
        for message in messages.iter().rev() {
            self.screen.say(&self.history_line(message))?;
        }
        Ok(())
    }

    /// The conversation with a user, when there is one.
    async fn conversation(&mut self, user: u64) -> Result<Option<u64>, Trouble> {
        if let Some(conversation) = self.conversations.get(&user) {
            return Ok(Some(*conversation));
        }
        let limit = Limit { limit: CONVERSATIONS };
        let conversations: Vec<Conversation> = self.ask("pull-offline.conversations", &limit).await?;
        for Conversation { id, peer } in conversations {
            peer.and_then(|peer| self.conversations.insert(peer.0, id.0));
        }
        Ok(self.conversations.get(&user).copied())
    }
}
