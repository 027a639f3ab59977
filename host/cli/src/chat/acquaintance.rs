//! Whose names a terminal learns: those of its contacts and groups, and of everyone whom it hears.

use std::collections::BTreeSet;

use client::params::{After, Nothing, Users};
use client::records::{Contact, Group, Int, User};
use serde_json::Value;

use super::session::{PAGE, Session};
use super::trouble::Trouble;
use crate::failure::Failure;

const CONTACT_PAGES: usize = 20;
/// The keys of messages and notifications that hold a user.
const USERS: [&str; 3] = ["sender", "by", "user"];

impl Session {
    /// Learns the names of contacts and groups: messages carry ids only.
    pub(super) async fn learn_names(&mut self) -> Result<(), Failure> {
        let mut after = None;
        for _ in 0..CONTACT_PAGES {
            let contacts: Vec<Contact> = self.ask("contacts.list", &After { after, limit: PAGE }).await?;
            contacts
                .iter()
                .for_each(|contact| self.names.learn(contact.user.0, &contact.name));
            after = contacts.last().map(|contact| contact.user);
            if contacts.len() < PAGE as usize {
                break;
            }
        }
        let groups: Vec<Group> = self.ask("groups.mine", &Nothing {}).await?;
        groups
            .iter()
            .for_each(|group| self.names.learn_group(group.id.0, &group.name));
        Ok(())
    }

    /// Learns the names of users that a frame or a page speaks of: it carries their ids only.
    pub(super) async fn learn_users_in(&mut self, text: &str) -> Result<(), Failure> {
        let mut ids = BTreeSet::new();
        if let Ok(value) = serde_json::from_str(text) {
            users(&value, &mut ids);
        }
        ids.retain(|id| !self.names.knows(*id));
        let ids: Vec<Int> = ids.into_iter().take(PAGE as usize).map(Int).collect();
        if ids.is_empty() {
            return Ok(());
        }
        match self.ask::<_, Vec<User>>("contacts.users", &Users { users: &ids }).await {
            Ok(users) => users.iter().for_each(|user| self.names.learn(user.id.0, &user.name)),
            // Their ids are shown instead of their names.
            Err(Trouble::Told(_)) => {}
            Err(trouble) => return Err(trouble.into()),
        }
        Ok(())
    }
}

fn users(value: &Value, ids: &mut BTreeSet<u64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| users(item, ids)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let id = value.as_str().filter(|_| USERS.contains(&key.as_str()));
                ids.extend(id.and_then(|id| id.parse::<u64>().ok()));
                users(value, ids);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::users;
    use std::collections::BTreeSet;

    #[test]
    fn users_are_found_wherever_a_page_names_them() {
        let page =
            serde_json::json!({ "entries": [{ "message": { "sender": "7", "to": "8", "content": "9" } }], "by": "3" });
        let mut ids = BTreeSet::new();
        users(&page, &mut ids);
        assert_eq!(ids, BTreeSet::from([3, 7]));
    }
}
