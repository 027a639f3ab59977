//! Which name belongs to which id, as far as the terminal has learned it.

use std::collections::HashMap;

/// Names of users and groups by id, and ids of users by name.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: HashMap<u64, String>,
    ids: HashMap<String, u64>,
    groups: HashMap<u64, String>,
}

impl Names {
    /// Remembers a user.
    pub(super) fn learn(&mut self, id: u64, name: &str) {
        self.ids.insert(name.to_lowercase(), id);
        self.users.insert(id, name.to_owned());
    }

    /// Remembers a group.
    pub(super) fn learn_group(&mut self, id: u64, name: &str) {
        self.groups.insert(id, name.to_owned());
    }

    /// Whether the name of a user was learned.
    pub(super) fn knows(&self, id: u64) -> bool {
        self.users.contains_key(&id)
    }

    /// The name of a user, or the id behind a `#`, as [`Names::id`] takes it.
    pub(super) fn user(&self, id: u64) -> String {
        self.users.get(&id).cloned().unwrap_or_else(|| format!("#{id}"))
    }

    /// The name of a group that was learned.
    pub(super) fn known_group(&self, id: u64) -> Option<&str> {
        self.groups.get(&id).map(String::as_str)
    }

    /// The name of a group, or its id behind a `#`.
    pub(super) fn group(&self, id: u64) -> String {
        self.known_group(id)
            .map_or_else(|| format!("group #{id}"), str::to_owned)
    }

    /// The id of a user whose name was learned, or that is written as `#ID`. Case makes no difference.
    pub(super) fn id(&self, name: &str) -> Option<u64> {
        match name.strip_prefix('#') {
            Some(id) => id.parse().ok(),
            None => self.ids.get(&name.to_lowercase()).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_are_found_without_regard_to_case() {
        let mut names = Names::default();
        names.learn(7, "Bob");
        assert_eq!((names.id("bOB"), names.user(7).as_str()), (Some(7), "Bob"));
    }

    #[test]
    fn an_unknown_user_is_written_as_it_can_be_typed() {
        let names = Names::default();
        assert_eq!(names.user(9), "#9");
        assert_eq!((names.id("#9"), names.id("ann")), (Some(9), None));
    }
}
