//! What the members and the users concerned are told after a change. All of it is a hint: the change
//! is durable before, and a connection that missed one reads the group anew.

use guest::{Audience, Caller, GroupChange, GroupChangeKind, hint, notify, subscriptions};

/// The topic to which the connections of the members are subscribed.
pub(crate) fn topic(group: u64) -> String {
    format!("group/{group}")
}

/// A change that the caller made in a group.
pub(crate) struct Announcement<'a> {
    caller: &'a Caller,
    group: u64,
    at: u64,
}

impl<'a> Announcement<'a> {
    pub(crate) fn new(caller: &'a Caller, group: u64, at: u64) -> Self {
        Self { caller, group, at }
    }

    /// Subscribes new members, then tells all of them.
    pub(crate) async fn came(&self, users: &[u64], change: GroupChangeKind) {
        if users.is_empty() {
            return;
        }
        subscribe(self.group, users.to_vec()).await;
        for user in users {
            self.changed(*user, change).await;
        }
    }

    /// Ends the subscription of a former member, then tells the members and that user.
    pub(crate) async fn went(&self, user: u64, change: GroupChangeKind) {
        hint(
            "unsubscribe",
            subscriptions::unsubscribe(vec![user], topic(self.group)).await,
        );
        self.changed(user, change).await;
    }

    /// Tells the members, and the user concerned on every device, but not the connection that caused it.
    pub(crate) async fn changed(&self, user: u64, change: GroupChangeKind) {
        let mut to = Audience::users([user]);
        to.topics.push(topic(self.group));
        to.except_connection = self.caller.connection;
        let body = GroupChange {
            group: self.group,
            change,
            user,
            by: self.caller.user,
            at: self.at,
        };
        hint("group", notify::group(to, body).await);
    }
}

/// Subscribes the connections of members to their group.
pub(crate) async fn subscribe(group: u64, users: Vec<u64>) {
    hint("subscribe", subscriptions::subscribe(users, topic(group)).await);
}
