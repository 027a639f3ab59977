//! Routes: which node holds which connection of which user.
//!
//! A route is a lease in the metadata store, renewed while its socket lives, so that no node's death
//! leaves a user reachable where nobody listens. Refuses to know messages, presence and sockets.

#[expect(missing_docs, reason = "generated from WIT, where the documentation is")]
mod bindings;
mod encoding;
mod rules;
mod store;
#[cfg(test)]
mod stories;

use std::collections::{BTreeSet, HashSet};

use bindings::exports::mpim::im::route;
pub use bindings::exports::mpim::im::route::{Decision, Guest as Route, Routed};
use guest::{Connection, Error};

/// The component: see `wit/im/route.wit` for what each method promises.
pub struct Component;

impl route::Guest for Component {
    async fn register_connection(connection: Connection) -> Result<(), Error> {
        store::put(&[connection]).await
    }

    async fn unregister_connection(connection: Connection) -> Result<(), Error> {
        store::remove(&connection).await
    }

    async fn batch_register_connection(calls: Vec<Connection>) -> Result<Vec<Result<(), Error>>, Error> {
        guest::check_batch(calls.len())?;
        store::put(&calls).await?;
        Ok(vec![Ok(()); calls.len()])
    }

    async fn batch_unregister_connection(calls: Vec<Connection>) -> Result<Vec<Result<(), Error>>, Error> {
        guest::check_batch(calls.len())?;
        Ok(guest::join_all(calls.iter().map(store::remove)).await)
    }

    async fn renew_routes(connections: Vec<Connection>) -> Result<(), Error> {
        store::put(&connections).await
    }

    async fn get_connections(user: u64) -> Result<Vec<Connection>, Error> {
        Ok(store::connections(&[user]).await?.into_iter().flatten().collect())
    }

    async fn batch_get_connections(users: Vec<u64>) -> Result<Vec<Routed>, Error> {
        rules::at_most(&users, rules::MOST_USERS_LISTED)?;
        routed(users).await
    }

    async fn gateways(user: u64) -> Result<Vec<String>, Error> {
        Ok(rules::nodes(store::connections(&[user]).await?.iter().flatten()))
    }

    async fn route_message(users: Vec<u64>) -> Result<Decision, Error> {
        rules::at_most(&users, rules::MOST_USERS_DECIDED)?;
        Ok(rules::decide(&routed(rules::each_once(users)).await?))
    }

    async fn clean_stale(node: String, alive: Vec<u64>) -> Result<u32, Error> {
        let alive: HashSet<u64> = alive.into_iter().collect();
        let mut stale = store::holdings(&node).await?;
        stale.retain(|holding| rules::is_stale_holding(*holding, &alive));

        let mut ended: u32 = 0;
        for holdings in stale.chunks(rules::MOST_USERS_LISTED) {
            let users: BTreeSet<u64> = holdings.iter().map(|holding| holding.user).collect();
            end_stale_routes(&node, &alive, users).await?;
            for holding in holdings {
                ended = ended.saturating_add(u32::from(store::remove_holding(&node, *holding).await?));
            }
        }
        Ok(ended)
    }
}

async fn routed(users: Vec<u64>) -> Result<Vec<Routed>, Error> {
    let connections = store::connections(&users).await?;
    Ok(users
        .into_iter()
        .zip(connections)
        .map(|(user, connections)| Routed { user, connections })
        .collect())
}

/// Ends those routes of users that lead to connections which the node no longer has.
async fn end_stale_routes(node: &str, alive: &HashSet<u64>, users: BTreeSet<u64>) -> Result<(), Error> {
    let users: Vec<u64> = users.into_iter().collect();
    for route in store::connections(&users).await?.iter().flatten() {
        if rules::is_stale_route(route, node, alive) {
            store::remove_route(route).await?;
        }
    }
    Ok(())
}
