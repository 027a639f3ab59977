//! The component in the world of the tests.

use guest::Connection;
use native::{Call, World, run as finish};

use crate::Component;
use crate::bindings::exports::mpim::im::route::Guest;

fn connection(id: u64, user: u64, node: &str) -> Connection {
    let (device, device_class) = (format!("device|{id}"), "50% phone".to_owned());
    Connection {
        id,
        node: node.to_owned(),
        user,
        session: id + 100,
        device,
        device_class,
    }
}

#[test]
fn a_registered_connection_is_found_until_it_is_unregistered() {
    let world = World::with_users(0);
    let (one, other) = (connection(1, 7, "b"), connection(2, 7, "a"));
    finish(Component::register_connection(one.clone())).unwrap();
    finish(Component::register_connection(other.clone())).unwrap();
    assert_eq!(
        finish(Component::get_connections(7)).unwrap(),
        [one.clone(), other.clone()]
    );
    assert_eq!(finish(Component::gateways(7)).unwrap(), ["a", "b"]);

    finish(Component::unregister_connection(one)).unwrap();
    assert_eq!(
        finish(Component::get_connections(7)).unwrap(),
        std::slice::from_ref(&other)
    );
    finish(Component::unregister_connection(other)).unwrap();
    assert_eq!(world.metadata().alive(), 0);
}

#[test]
fn connections_are_registered_and_unregistered_in_batches() {
    let world = World::with_users(0);
    let connections = vec![connection(1, 7, "a"), connection(2, 8, "b"), connection(3, 7, "b")];
    let done = finish(Component::batch_register_connection(connections.clone())).unwrap();
    assert_eq!((done, world.calls(&[Call::Put])), (vec![Ok(()); 3], 1));
    assert_eq!(finish(Component::gateways(7)).unwrap(), ["a", "b"]);

    let done = finish(Component::batch_unregister_connection(connections[..2].to_vec())).unwrap();
    assert_eq!(done, [Ok(()), Ok(())]);
    assert_eq!(
        finish(Component::get_connections(7)).unwrap(),
        std::slice::from_ref(&connections[2])
    );
    assert_eq!(finish(Component::get_connections(8)).unwrap(), []);
}

#[test]
fn renewing_brings_routes_back_after_the_store_was_emptied_in_one_call() {
    let world = World::with_users(0);
    let connections = vec![connection(1, 7, "a"), connection(2, 8, "a")];
    finish(Component::renew_routes(connections)).unwrap();
    assert_eq!(world.calls(&[Call::Put]), 1);
    let decision = finish(Component::route_message(vec![8, 9, 7, 8])).unwrap();
    assert_eq!(
        (decision.nodes, decision.online, decision.offline),
        (vec!["a".to_owned()], vec![8, 7], vec![9])
    );
}

#[test]
fn users_are_answered_in_the_order_asked() {
    let _world = World::with_users(0);
    finish(Component::register_connection(connection(1, 7, "a"))).unwrap();
    let routed = finish(Component::batch_get_connections(vec![9, 7])).unwrap();
    let shape: Vec<(u64, usize)> = routed.iter().map(|of| (of.user, of.connections.len())).collect();
    assert_eq!(shape, [(9, 0), (7, 1)]);
}

#[test]
fn cleaning_ends_only_what_the_node_no_longer_holds() {
    let world = World::with_users(0);
    for route in [
        connection(1, 7, "a"),
        connection(2, 7, "a"),
        connection(3, 7, "b"),
        connection(4, 8, "a"),
    ] {
        finish(Component::register_connection(route)).unwrap();
    }
    assert_eq!(finish(Component::clean_stale("a".to_owned(), vec![1])).unwrap(), 2);
    assert_eq!(finish(Component::clean_stale("a".to_owned(), vec![1])).unwrap(), 0);
    let ids: Vec<u64> = finish(Component::get_connections(7))
        .unwrap()
        .iter()
        .map(|route| route.id)
        .collect();
    assert_eq!(ids, [1, 3]);
    assert!(finish(Component::get_connections(8)).unwrap().is_empty());
    assert_eq!(world.metadata().alive(), 4);
}

#[test]
fn cleaning_finishes_what_an_unregistering_broken_off_left() {
    let world = World::with_users(0);
    let route = connection(1, 7, "a");
    finish(Component::register_connection(route.clone())).unwrap();
    world.metadata().lose("route/7");
    assert_eq!(finish(Component::clean_stale("a".to_owned(), Vec::new())).unwrap(), 1);
    assert_eq!(world.metadata().alive(), 0);
}

#[test]
fn a_foreign_member_is_counted_and_left_out() {
    let world = World::with_users(0);
    finish(Component::register_connection(connection(1, 7, "a"))).unwrap();
    world.metadata().put("route/7", "{}", 1000);
    world.metadata().put("node-routes/a", "?", 1000);
    assert_eq!(finish(Component::get_connections(7)).unwrap().len(), 1);
    assert_eq!(finish(Component::clean_stale("a".to_owned(), vec![1])).unwrap(), 0);
    assert_eq!(world.telemetry().counted("mpim_routes_undecodable"), 2);
}
