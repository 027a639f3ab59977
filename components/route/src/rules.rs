//! Decisions over the routes of users, as pure functions. Knows nothing of where routes are kept.

use std::collections::{BTreeSet, HashSet};

use guest::{Connection, Error};

use crate::bindings::exports::mpim::im::route::{Decision, Routed};
use crate::encoding::Holding;

/// How many users one call for their connections may name.
pub(crate) const MOST_USERS_LISTED: usize = 1000;

/// How many users one decision may be about.
pub(crate) const MOST_USERS_DECIDED: usize = 5000;

/// Refuses a call that names too many users.
pub(crate) fn at_most(users: &[u64], most: usize) -> Result<(), Error> {
    if users.len() > most {
        return Err(Error::too_large(format!(
            "{} users asked, at most {most} at once",
            users.len()
        )));
    }
    Ok(())
}

/// The users in the order asked, each once.
pub(crate) fn each_once(users: Vec<u64>) -> Vec<u64> {
    let mut seen = HashSet::with_capacity(users.len());
    users.into_iter().filter(|user| seen.insert(*user)).collect()
}

/// The nodes that hold connections, each once, in order.
pub(crate) fn nodes<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Vec<String> {
    let nodes: BTreeSet<&str> = connections
        .into_iter()
        .map(|connection| connection.node.as_str())
        .collect();
    nodes.into_iter().map(str::to_owned).collect()
}

/// Sends the messages of a user who has a connection to its nodes, those of the others to the inbox alone.
pub(crate) fn decide(routed: &[Routed]) -> Decision {
    let (online, offline): (Vec<&Routed>, Vec<&Routed>) = routed.iter().partition(|of| !of.connections.is_empty());
    Decision {
        nodes: nodes(online.iter().flat_map(|of| &of.connections)),
        online: online.iter().map(|of| of.user).collect(),
        multi_connection: routed
            .iter()
            .filter(|of| of.connections.len() > 1)
            .map(|of| of.user)
            .collect(),
        offline: offline.iter().map(|of| of.user).collect(),
    }
}

/// Whether a node no longer has a connection that the set of the node names.
pub(crate) fn is_stale_holding(holding: Holding, alive: &HashSet<u64>) -> bool {
    !alive.contains(&holding.connection)
}

/// Whether a route leads to a connection that this node no longer has; routes to other nodes are
/// theirs to judge.
pub(crate) fn is_stale_route(route: &Connection, node: &str, alive: &HashSet<u64>) -> bool {
    route.node == node && !alive.contains(&route.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(id: u64, node: &str) -> Connection {
        Connection {
            id,
            node: node.to_owned(),
            user: 1,
            session: 1,
            device: "d".to_owned(),
            device_class: "c".to_owned(),
        }
    }

    #[test]
    fn a_user_with_a_connection_is_online_and_the_others_are_offline() {
        let decision = decide(&[
            Routed {
                user: 5,
                connections: vec![connection(1, "b"), connection(2, "a")],
            },
            Routed {
                user: 3,
                connections: Vec::new(),
            },
            Routed {
                user: 4,
                connections: vec![connection(3, "b")],
            },
        ]);
        assert_eq!(decision.nodes, ["a", "b"]);
        assert_eq!(decision.online, [5, 4]);
        assert_eq!(decision.multi_connection, [5]);
        assert_eq!(decision.offline, [3]);
    }

    #[test]
    fn no_users_need_no_nodes() {
        let decision = decide(&[]);
        assert!(decision.nodes.is_empty() && decision.online.is_empty() && decision.offline.is_empty());
    }

    #[test]
    fn users_are_decided_once_in_the_order_asked() {
        assert_eq!(each_once(vec![3, 1, 3, 2, 1]), [3, 1, 2]);
    }

    #[test]
    fn too_many_users_are_refused() {
        assert!(at_most(&[1, 2], 2).is_ok());
        assert_eq!(
            at_most(&[1, 2, 3], 2).map_err(|error| error.code),
            Err(guest::ErrorCode::TooLarge)
        );
    }

    #[test]
    fn only_absent_connections_of_the_same_node_are_stale() {
        let alive = HashSet::from([1]);
        assert!(is_stale_route(&connection(2, "n"), "n", &alive));
        assert!(!is_stale_route(&connection(1, "n"), "n", &alive));
        assert!(!is_stale_route(&connection(2, "other"), "n", &alive));
        assert!(is_stale_holding(Holding { connection: 2, user: 1 }, &alive));
        assert!(!is_stale_holding(Holding { connection: 1, user: 1 }, &alive));
    }
}
