//! What a presence is written as, and what the presences of a user say, as pure functions. Knows
//! nothing of where presences are kept.

use std::collections::{BTreeMap, BTreeSet};

use guest::{Connection, Error};

use crate::bindings::exports::mpim::im::presence::Status;

/// How many users one call for their status may name.
pub(crate) const MOST_USERS: usize = 500;

/// Refuses a call that names too many users.
pub(crate) fn at_most_users(users: &[u64]) -> Result<(), Error> {
    if users.len() > MOST_USERS {
        return Err(Error::too_large(format!(
            "{} users asked, at most {MOST_USERS} at once",
            users.len()
        )));
    }
    Ok(())
}

/// The users of connections, each once.
pub(crate) fn users(connections: &[Connection]) -> Vec<u64> {
    let users: BTreeSet<u64> = connections.iter().map(|connection| connection.user).collect();
    users.into_iter().collect()
}

/// The member for the set of the user: `id|class`. The id has no separator, so that the first one
/// ends it and the class may hold any characters.
pub(crate) fn member(connection: &Connection) -> String {
    format!("{}|{}", connection.id, connection.device_class)
}

/// The device class of a member; none when it is not of our making.
pub(crate) fn device_class(member: &str) -> Option<&str> {
    let (connection, class) = member.split_once('|')?;
    connection.parse::<u64>().ok()?;
    Some(class)
}

/// A user is online while there is a presence, on the classes of them all. A member that is not of
/// our making says nothing.
pub(crate) fn status(user: u64, members: &[String]) -> Status {
    let classes: BTreeSet<&str> = members.iter().filter_map(|member| device_class(member)).collect();
    Status {
        user,
        online: !classes.is_empty(),
        device_classes: classes.into_iter().map(str::to_owned).collect(),
        last_seen: None,
    }
}

/// What is published when users were online at a time: `user,…,time`.
pub(crate) fn entry(users: &[u64], at: u64) -> Vec<u8> {
    let numbers: Vec<String> = users.iter().chain([&at]).map(u64::to_string).collect();
    numbers.join(",").into_bytes()
}

/// What some entries say: the latest time of each user, and how many entries are not of our making.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Latest {
    pub(crate) times: BTreeMap<u64, u64>,
    pub(crate) undecodable: u64,
}

/// The latest time of each user, of entries in any order.
pub(crate) fn latest<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Latest {
    let mut latest = Latest::default();
    for payload in entries {
        let Some((users, at)) = read_entry(payload) else {
            latest.undecodable += 1;
            continue;
        };
        for user in users {
            let time = latest.times.entry(user).or_insert(at);
            *time = at.max(*time);
        }
    }
    latest
}

/// Ids and times have 63 bits: what is beyond is not of our making, and as a time could never be overwritten.
fn read_entry(payload: &[u8]) -> Option<(Vec<u64>, u64)> {
    let (users, at) = std::str::from_utf8(payload).ok()?.rsplit_once(',')?;
    let number = |text: &str| text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
    let users = users.split(',').map(number).collect::<Option<_>>()?;
    Some((users, number(at)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(id: u64, class: &str) -> String {
        member(&Connection {
            id,
            node: "n".to_owned(),
            user: 1,
            session: 1,
            device: "d".to_owned(),
            device_class: class.to_owned(),
        })
    }

    #[test]
    fn device_classes_survive_hostile_names() {
        for class in ["phone", "", "|", "a|b", "1|2", "%7C", "a\0b\n", "日本語", "🦀|"] {
            assert_eq!(device_class(&presence(u64::MAX, class)), Some(class));
        }
    }

    #[test]
    fn members_of_another_making_are_not_read() {
        for member in ["", "1", "x|phone", "|phone", "-1|phone"] {
            assert_eq!(device_class(member), None, "{member}");
        }
    }

    #[test]
    fn a_user_is_online_on_each_class_once_in_alphabetic_order() {
        let status = status(7, &[presence(1, "web"), presence(2, "phone"), presence(3, "web")]);
        assert_eq!((status.user, status.online), (7, true));
        assert_eq!(status.device_classes, ["phone", "web"]);
    }

    #[test]
    fn a_user_without_a_presence_is_offline() {
        for members in [Vec::new(), vec!["foreign".to_owned()]] {
            let status = status(7, &members);
            assert!(!status.online && status.device_classes.is_empty());
        }
    }

    #[test]
    fn of_entries_in_any_order_the_latest_of_each_user_counts() {
        let entries = [(&[1][..], 5), (&[2, 3], 9), (&[1], 7), (&[3, 1], 6)].map(|(users, at)| entry(users, at));
        let read = latest(entries.iter().map(Vec::as_slice));
        assert_eq!(read.times, BTreeMap::from([(1, 7), (2, 9), (3, 9)]));
        assert_eq!(read.undecodable, 0);
    }

    #[test]
    fn entries_of_another_making_are_counted_and_say_nothing() {
        let beyond = entry(&[1], u64::MAX);
        let foreign: [&[u8]; 8] = [b"", b"1", b",", b"1,", b"1,,3", b"x,1", b"\xff,1", &beyond];
        let (times, undecodable) = (BTreeMap::new(), foreign.len() as u64);
        assert_eq!(latest(foreign), Latest { times, undecodable });
    }

    #[test]
    fn too_many_users_are_refused() {
        assert!(at_most_users(&[1; MOST_USERS]).is_ok());
        assert_eq!(
            at_most_users(&[1; MOST_USERS + 1]).map_err(|error| error.code),
            Err(guest::ErrorCode::TooLarge)
        );
    }
}
