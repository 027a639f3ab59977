//! The component against a metadata store in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use guest::metadata::Lease;
use guest::native::{Answer, Host};
use guest::{Connection, HostError};

use crate::Component;
use crate::bindings::exports::mpim::im::route::Guest;

/// Sets whose leases do not end by themselves.
#[derive(Default)]
struct Metadata {
    sets: RefCell<BTreeMap<String, BTreeSet<String>>>,
    undecodable: RefCell<u64>,
    put_calls: RefCell<u32>,
}

impl Metadata {
    fn given() -> Rc<Self> {
        let metadata = Rc::new(Self::default());
        guest::native::give(metadata.clone());
        metadata
    }

    fn live_members(&self) -> usize {
        self.sets.borrow().values().map(BTreeSet::len).sum()
    }
}

impl Host for Metadata {
    fn counter(&self, name: &str, by: u64, _: &[(String, String)]) {
        if name == "mpim_routes_undecodable" {
            *self.undecodable.borrow_mut() += by;
        }
    }

    fn put_leases(&self, leases: Vec<Lease>) -> Answer<Result<Vec<bool>, HostError>> {
        *self.put_calls.borrow_mut() += 1;
        let mut sets = self.sets.borrow_mut();
        let new = leases
            .into_iter()
            .map(|lease| sets.entry(lease.set).or_default().insert(lease.member))
            .collect();
        Box::pin(std::future::ready(Ok(new)))
    }

    fn remove_lease(&self, set: String, member: String) -> Answer<Result<bool, HostError>> {
        let removed = self.sets.borrow_mut().entry(set).or_default().remove(&member);
        Box::pin(std::future::ready(Ok(removed)))
    }

    fn set_members(&self, sets: Vec<String>) -> Answer<Result<Vec<Vec<String>>, HostError>> {
        let all = self.sets.borrow();
        let members = sets
            .iter()
            .map(|set| all.get(set).into_iter().flatten().cloned().collect())
            .collect();
        Box::pin(std::future::ready(Ok(members)))
    }
}

/// Runs a future whose host never waits.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

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
    let metadata = Metadata::given();
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
    assert_eq!(metadata.live_members(), 0);
}

#[test]
fn connections_are_registered_and_unregistered_together() {
    let metadata = Metadata::given();
    let connections = vec![connection(1, 7, "a"), connection(2, 8, "b"), connection(3, 7, "b")];
    let done = finish(Component::batch_register_connection(connections.clone())).unwrap();
    assert_eq!((done, *metadata.put_calls.borrow()), (vec![Ok(()); 3], 1));
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
    let metadata = Metadata::given();
    let connections = vec![connection(1, 7, "a"), connection(2, 8, "a")];
    finish(Component::renew_routes(connections)).unwrap();
    assert_eq!(*metadata.put_calls.borrow(), 1);
    let decision = finish(Component::route_message(vec![8, 9, 7, 8])).unwrap();
    assert_eq!(
        (decision.nodes, decision.online, decision.offline),
        (vec!["a".to_owned()], vec![8, 7], vec![9])
    );
}

#[test]
fn users_are_answered_in_the_order_asked() {
    Metadata::given();
    finish(Component::register_connection(connection(1, 7, "a"))).unwrap();
    let routed = finish(Component::batch_get_connections(vec![9, 7])).unwrap();
    let shape: Vec<(u64, usize)> = routed.iter().map(|of| (of.user, of.connections.len())).collect();
    assert_eq!(shape, [(9, 0), (7, 1)]);
}

#[test]
fn cleaning_ends_only_what_the_node_no_longer_holds() {
    let metadata = Metadata::given();
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
    assert_eq!(metadata.live_members(), 4);
}

#[test]
fn cleaning_finishes_what_an_unregistering_broken_off_left() {
    let metadata = Metadata::given();
    let route = connection(1, 7, "a");
    finish(Component::register_connection(route.clone())).unwrap();
    metadata.sets.borrow_mut().remove("route/7");
    assert_eq!(finish(Component::clean_stale("a".to_owned(), Vec::new())).unwrap(), 1);
    assert_eq!(metadata.live_members(), 0);
}

#[test]
fn a_foreign_member_is_counted_and_left_out() {
    let metadata = Metadata::given();
    finish(Component::register_connection(connection(1, 7, "a"))).unwrap();
    metadata
        .sets
        .borrow_mut()
        .entry("route/7".to_owned())
        .or_default()
        .insert("{}".to_owned());
    metadata
        .sets
        .borrow_mut()
        .entry("node-routes/a".to_owned())
        .or_default()
        .insert("?".to_owned());
    assert_eq!(finish(Component::get_connections(7)).unwrap().len(), 1);
    assert_eq!(finish(Component::clean_stale("a".to_owned(), vec![1])).unwrap(), 0);
    assert_eq!(*metadata.undecodable.borrow(), 2);
}
