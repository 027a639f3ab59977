//! The component in the world of the tests.

mod last_seen;

use guest::Caller;
use native::{Call, Push, World, connection, run as finish};

use crate::Component;
use crate::bindings::exports::mpim::im::{presence::Guest, presence_lease::Guest as LeaseGuest};

/// The users that the store knows: 1 up to this.
const USERS: u64 = 450;

/// A world in which everyone is watched by the same users.
fn watched_by(watchers: &[u64]) -> World {
    let (world, watchers) = (World::with_users(USERS), watchers.to_vec());
    world.answer_watchers(move |users| {
        let watchers = vec![watchers.clone(); users.len()];
        Box::pin(async { Ok(watchers) })
    });
    world
}

/// What was told since the last time: to whom, of whom, whether they are online, and the time.
fn told_at(world: &World) -> Vec<(Vec<u64>, u64, bool, u64)> {
    let change = |push| match push {
        Push::Presence(to, body) => {
            let receivers = to.recipients.iter().map(|recipient| recipient.user).collect();
            (receivers, body.user, body.online, body.at)
        }
        other => panic!("nobody is told {other}"),
    };
    world.pushes().into_iter().map(change).collect()
}

/// The same without the times.
fn told(world: &World) -> Vec<(Vec<u64>, u64, bool)> {
    let changes = told_at(world).into_iter();
    changes.map(|(to, user, online, _)| (to, user, online)).collect()
}

fn hints_lost(world: &World) -> u64 {
    world.telemetry().take_counted("mpim_hints_lost")
}

fn caller() -> Caller {
    native::caller(1, "d")
}

#[test]
fn watchers_are_told_of_the_first_connection_and_of_the_last() {
    let world = watched_by(&[2, 3]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    finish(Component::set_online(connection(2, 7, "web|beta"))).unwrap();
    assert_eq!(told(&world), [(vec![2, 3], 7, true)]);
    assert_eq!(
        finish(Component::get_status(caller(), 7)).unwrap().device_classes,
        ["phone", "web|beta"]
    );

    finish(Component::set_offline(connection(1, 7, "phone"))).unwrap();
    assert_eq!(told(&world), []);
    finish(Component::set_offline(connection(2, 7, "web|beta"))).unwrap();
    assert_eq!(told(&world), [(vec![2, 3], 7, false)]);
    assert!(!finish(Component::get_status(caller(), 7)).unwrap().online);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 0);
}

#[test]
fn connections_that_come_and_go_in_batches_are_told_of_as_if_each_had_come_alone() {
    let world = watched_by(&[2]);
    let connections = vec![
        connection(1, 7, "phone"),
        connection(2, 8, "web"),
        connection(3, 7, "web"),
    ];
    let done = finish(Component::batch_set_online(connections.clone())).unwrap();
    assert_eq!(done, [Ok(()), Ok(()), Ok(())]);
    assert_eq!(told(&world), [(vec![2], 7, true), (vec![2], 8, true)]);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 2);

    let done = finish(Component::batch_set_offline(connections[..2].to_vec())).unwrap();
    assert_eq!(done, [Ok(()), Ok(())]);
    assert_eq!(told(&world), [(vec![2], 8, false)]);
    finish(Component::batch_set_offline(connections)).unwrap();
    assert_eq!(told(&world), [(vec![2], 7, false)]);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 0);

    let too_many = vec![connection(1, 7, "phone"); guest::MOST_IN_BATCH + 1];
    let refused = finish(Component::batch_set_online(too_many)).unwrap_err();
    assert_eq!(refused.code, guest::ErrorCode::TooLarge);
}

#[test]
fn going_offline_twice_is_told_once() {
    let world = watched_by(&[2]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    finish(Component::set_offline(connection(1, 7, "phone"))).unwrap();
    finish(Component::set_offline(connection(1, 7, "phone"))).unwrap();
    assert_eq!(told(&world).len(), 2);
}

#[test]
fn a_user_without_watchers_is_announced_to_no_one() {
    let world = watched_by(&[]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    assert_eq!(told(&world), []);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 1);
}

#[test]
fn a_user_comes_online_although_the_watchers_cannot_be_asked() {
    let world = watched_by(&[2]);
    world.take_away(&[Call::Watchers]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    assert!(finish(Component::get_status(caller(), 7)).unwrap().online);
    assert_eq!(hints_lost(&world), 1);
}

#[test]
fn a_connection_that_comes_while_the_last_one_goes_keeps_the_user_online() {
    let world = watched_by(&[2]);
    finish(Component::set_online(connection(1, 7, "phone"))).unwrap();
    // The presence of the connection has ended, and the user is still among those who are online.
    world.before(&[Call::Remove], 1, |world| {
        assert!(world.metadata().put("presence/7", "2|web", 1));
    });
    finish(Component::set_offline(connection(1, 7, "phone"))).unwrap();
    assert_eq!(told(&world), [(vec![2], 7, true)]);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 1);
}

#[test]
fn renewing_brings_presences_back_after_the_store_was_emptied() {
    let world = watched_by(&[2]);
    finish(Component::renew_presence(vec![
        connection(1, 7, "phone"),
        connection(2, 7, "web"),
    ]))
    .unwrap();
    let statuses = finish(Component::batch_get_status(caller(), vec![8, 7, 8])).unwrap();
    let shape: Vec<(u64, bool)> = statuses.iter().map(|status| (status.user, status.online)).collect();
    assert_eq!(shape, [(8, false), (7, true), (8, false)]);
    assert_eq!(finish(Component::count_online(caller())).unwrap(), 1);
    assert_eq!(told(&world), []);
}
