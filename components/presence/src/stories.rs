//! The component against a metadata store in memory, and what times of users go through.

mod behind;
mod last_seen;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use behind::Behind;
use guest::metadata::Lease;
use guest::native::{Answer, Host, Step};
use guest::queue::Entry;
use guest::sql::{Error as SqlError, Outcome, Value};
use guest::{Audience, Caller, Connection, Error, HostError, PresenceChange, Priority};

use crate::Component;
use crate::bindings::exports::mpim::im::{presence::Guest, presence_lease::Guest as LeaseGuest};

/// Sets whose leases do not end by themselves, and what watchers were told.
#[derive(Default)]
struct Metadata {
    sets: RefCell<BTreeMap<String, BTreeSet<String>>>,
    watchers: RefCell<Option<Vec<u64>>>,
    told: RefCell<Vec<(Vec<u64>, u64, bool)>>,
    /// The times that watchers were told.
    told_at: RefCell<Vec<u64>>,
    /// A connection that comes while the set of all users is being changed.
    comes_meanwhile: RefCell<Option<Lease>>,
    lost_hints: RefCell<u64>,
    undecodable: RefCell<u64>,
    behind: Behind,
}

impl Metadata {
    fn watched_by(watchers: &[u64]) -> Rc<Self> {
        let metadata = Rc::new(Self::default());
        metadata.watchers.replace(Some(watchers.to_vec()));
        guest::native::give(metadata.clone());
        metadata
    }

    fn add(&self, lease: Lease) -> bool {
        self.sets
            .borrow_mut()
            .entry(lease.set)
            .or_default()
            .insert(lease.member)
    }
}

impl Host for Metadata {
    fn counter(&self, name: &str, by: u64, _: &[(String, String)]) {
        match name {
            "mpim_hints_lost" => *self.lost_hints.borrow_mut() += by,
            "mpim_last_seen_undecodable" => *self.undecodable.borrow_mut() += by,
            _ => {}
        }
    }

    fn put_leases(&self, leases: Vec<Lease>) -> Answer<Result<Vec<bool>, HostError>> {
        let new = leases.into_iter().map(|lease| self.add(lease)).collect();
        Box::pin(std::future::ready(Ok(new)))
    }

    fn remove_lease(&self, set: String, member: String) -> Answer<Result<bool, HostError>> {
        if set == "online"
            && let Some(lease) = self.comes_meanwhile.take()
        {
            self.add(lease);
        }
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

    fn count_members(&self, set: String) -> Answer<Result<u64, HostError>> {
        let count = self.sets.borrow().get(&set).map_or(0, BTreeSet::len) as u64;
        Box::pin(std::future::ready(Ok(count)))
    }

    fn watchers(&self, users: Vec<u64>) -> Answer<Result<Vec<Vec<u64>>, Error>> {
        let watchers = self
            .watchers
            .borrow()
            .clone()
            .ok_or_else(|| Error::internal("contacts are down"));
        Box::pin(std::future::ready(watchers.map(|watchers| vec![watchers; users.len()])))
    }

    fn notify_presence(&self, to: Audience, body: PresenceChange) -> Answer<Result<(), HostError>> {
        let receivers = to.recipients.iter().map(|recipient| recipient.user).collect();
        self.told.borrow_mut().push((receivers, body.user, body.online));
        self.told_at.borrow_mut().push(body.at);
        Box::pin(std::future::ready(Ok(())))
    }

    fn get_cached(&self, keys: Vec<String>) -> Answer<Result<Vec<Option<Vec<u8>>>, HostError>> {
        Box::pin(std::future::ready(self.behind.get(&keys)))
    }

    fn set_cached(&self, key: String, value: Vec<u8>, ttl_ms: u64) -> Answer<Result<(), HostError>> {
        assert!(ttl_ms > 0);
        Box::pin(std::future::ready(self.behind.set(key, value)))
    }

    fn publish(&self, topic: String, priority: Priority, payload: Vec<u8>) -> Answer<Result<u64, HostError>> {
        Box::pin(std::future::ready(self.behind.publish(topic, priority, payload)))
    }

    fn receive(&self, topic: String, _: String, max: u32, _: u32) -> Answer<Result<Vec<Entry>, HostError>> {
        Box::pin(std::future::ready(self.behind.receive(&topic, max)))
    }

    fn ack(&self, _: String, _: String, ids: Vec<u64>) -> Answer<Result<u32, HostError>> {
        Box::pin(std::future::ready(self.behind.ack(&ids)))
    }

    fn query(&self, sql: String, params: Vec<Value>) -> Answer<Result<Vec<Vec<Value>>, SqlError>> {
        Box::pin(std::future::ready(self.behind.query(&sql, &params)))
    }

    fn batch(&self, steps: Vec<Step>) -> Answer<Result<Vec<Outcome>, SqlError>> {
        Box::pin(std::future::ready(self.behind.batch(&steps)))
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

fn caller() -> Caller {
    Caller {
        user: 1,
        session: 1,
        device: "d".to_owned(),
        connection: None,
    }
}

fn connection(id: u64, user: u64, class: &str) -> Connection {
    let (node, device) = ("n".to_owned(), "d".to_owned());
    Connection {
        id,
        node,
        user,
        session: id,
        device,
        device_class: class.to_owned(),
    }
}

#[test]
fn watchers_are_told_of_the_first_connection_and_of_the_last() {
    let metadata = Metadata::watched_by(&[2, 3]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    finish(Component::set_online(connection(2, 7, "web|beta"))).unwrap();
    assert_eq!(*metadata.told.borrow(), [(vec![2, 3], 7, true)]);
    assert_eq!(
        finish(Component::get_status(caller(), 7)).unwrap().device_classes,
        ["phone", "web|beta"]
    );

    finish(Component::set_offline(connection(1, 7, "phone"))).unwrap();
    assert_eq!(metadata.told.borrow().len(), 1);
    finish(Component::set_offline(connection(2, 7, "web|beta"))).unwrap();
    assert_eq!(metadata.told.borrow().last(), Some(&(vec![2, 3], 7, false)));
    assert!(!finish(Component::get_status(caller(), 7)).unwrap().online);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 0);
}

#[test]
fn connections_that_come_and_go_together_are_told_of_as_if_each_had_come_alone() {
    let metadata = Metadata::watched_by(&[2]);
    let connections = vec![
        connection(1, 7, "phone"),
        connection(2, 8, "web"),
        connection(3, 7, "web"),
    ];
    let done = finish(Component::batch_set_online(connections.clone())).unwrap();
    assert_eq!(done, [Ok(()), Ok(()), Ok(())]);
    assert_eq!(*metadata.told.borrow(), [(vec![2], 7, true), (vec![2], 8, true)]);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 2);

    let done = finish(Component::batch_set_offline(connections[..2].to_vec())).unwrap();
    assert_eq!(done, [Ok(()), Ok(())]);
    assert_eq!(metadata.told.borrow()[2..], [(vec![2], 8, false)]);
    finish(Component::batch_set_offline(connections)).unwrap();
    assert_eq!(metadata.told.borrow()[3..], [(vec![2], 7, false)]);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 0);

    let too_many = vec![connection(1, 7, "phone"); guest::MOST_IN_BATCH + 1];
    let refused = finish(Component::batch_set_online(too_many)).unwrap_err();
    assert_eq!(refused.code, guest::ErrorCode::TooLarge);
}

#[test]
fn going_offline_twice_is_told_once() {
    let metadata = Metadata::watched_by(&[2]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    finish(Component::set_offline(connection(1, 7, "phone"))).unwrap();
    finish(Component::set_offline(connection(1, 7, "phone"))).unwrap();
    assert_eq!(metadata.told.borrow().len(), 2);
}

#[test]
fn a_user_without_watchers_is_announced_to_no_one() {
    let metadata = Metadata::watched_by(&[]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    assert!(metadata.told.borrow().is_empty());
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 1);
}

#[test]
fn a_user_comes_online_although_the_watchers_cannot_be_asked() {
    let metadata = Metadata::watched_by(&[2]);
    metadata.watchers.replace(None);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    assert!(finish(Component::get_status(caller(), 7)).unwrap().online);
    assert_eq!(*metadata.lost_hints.borrow(), 1);
}

#[test]
fn a_connection_that_comes_while_the_last_one_goes_keeps_the_user_online() {
    let metadata = Metadata::watched_by(&[2]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    let coming = Lease {
        set: "presence/7".to_owned(),
        member: "2|web".to_owned(),
        ttl_ms: 1,
    };
    metadata.comes_meanwhile.replace(Some(coming));
    finish(Component::set_offline(connection(1, 7, "phone"))).unwrap();
    assert_eq!(metadata.told.borrow().len(), 1);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 1);
}

#[test]
fn renewing_brings_presences_back_after_the_store_was_emptied() {
    let metadata = Metadata::watched_by(&[2]);
    finish(Component::renew_presence(vec![
        connection(1, 7, "phone"),
        connection(2, 7, "web"),
    ]))
    .unwrap();
    let statuses = finish(Component::batch_get_status(caller(), vec![8, 7, 8])).unwrap();
    let shape: Vec<(u64, bool)> = statuses.iter().map(|status| (status.user, status.online)).collect();
    assert_eq!(shape, [(8, false), (7, true), (8, false)]);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 1);
    assert!(metadata.told.borrow().is_empty());
}
