//! Where routes are kept: the names of the sets, their leases, and reading them back.

use guest::metadata::{self, Lease};
use guest::{Connection, Error, telemetry};

use crate::encoding::{self, Holding};

const DEFAULT_LEASE_TTL_MS: u64 = 90_000;

fn user_set(user: u64) -> String {
    format!("route/{user}")
}

fn node_set(node: &str) -> String {
    format!("node-routes/{node}")
}

/// Adds or renews the leases of connections, all in one call.
pub(crate) async fn put(connections: &[Connection]) -> Result<(), Error> {
    if connections.is_empty() {
        return Ok(());
    }
    let ttl_ms = guest::config::value_or("lease-ttl-ms", DEFAULT_LEASE_TTL_MS);
    let leases = connections.iter().flat_map(|connection| {
        [
            Lease {
                set: user_set(connection.user),
                member: encoding::route_member(connection),
                ttl_ms,
            },
            Lease {
                set: node_set(&connection.node),
                member: encoding::holding_member(connection.into()),
                ttl_ms,
            },
        ]
    });
    metadata::put(leases.collect()).await?;
    Ok(())
}

/// Ends the leases of a connection. The node forgets it last: when this is broken off between the
/// two, what the node still names leads the next cleaning to what is left.
pub(crate) async fn remove(connection: &Connection) -> Result<(), Error> {
    remove_route(connection).await?;
    remove_holding(&connection.node, connection.into()).await?;
    Ok(())
}

/// The live connections of each user, in the order asked.
pub(crate) async fn connections(users: &[u64]) -> Result<Vec<Vec<Connection>>, Error> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let sets = metadata::members(users.iter().copied().map(user_set).collect()).await?;
    let routes = users
        .iter()
        .zip(sets)
        .map(|(user, members)| read(members, |member| encoding::read_route(*user, member)));
    Ok(routes.collect())
}

/// What the set of a node names.
pub(crate) async fn holdings(node: &str) -> Result<Vec<Holding>, Error> {
    let members = metadata::members(vec![node_set(node)])
        .await?
        .into_iter()
        .flatten()
        .collect();
    Ok(read(members, encoding::read_holding))
}

/// Ends what the set of a node names; whether it was alive.
pub(crate) async fn remove_holding(node: &str, holding: Holding) -> Result<bool, Error> {
    metadata::remove(node_set(node), encoding::holding_member(holding)).await
}

/// Ends the lease of a route alone.
pub(crate) async fn remove_route(route: &Connection) -> Result<bool, Error> {
    metadata::remove(user_set(route.user), encoding::route_member(route)).await
}

/// Reads members and leaves out those that are not of our making, counting them: an operator shall
/// see that something else writes into the sets, and no call shall fail for it.
fn read<T>(members: Vec<String>, reader: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let asked = members.len();
    let read: Vec<T> = members.iter().filter_map(|member| reader(member)).collect();
    let undecodable = asked.saturating_sub(read.len());
    if undecodable > 0 {
        telemetry::count(
            "mpim_routes_undecodable",
            u64::try_from(undecodable).unwrap_or(u64::MAX),
        );
    }
    read
}
