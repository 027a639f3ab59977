//! The component against the real schema, in-process: what each method does to the store and whom it tells.

use crate::Component;
use crate::bindings::exports::mpim::im::contacts::{ContactState, Guest};
use crate::bindings::exports::mpim::im::relations::Guest as _;
use guest::{Caller, Error, ErrorCode};
use native::{Call, World, run as wait};

fn caller(user: u64) -> Caller {
    native::caller(user, "phone")
}

fn request(user: u64, other: u64) -> Result<ContactState, Error> {
    wait(Component::request(caller(user), other))
}

fn accept(user: u64, other: u64) -> Result<(), Error> {
    wait(Component::accept(caller(user), other))
}

fn decline(user: u64, other: u64) -> Result<(), Error> {
    wait(Component::decline(caller(user), other))
}

fn watchers(user: u64) -> Vec<u64> {
    wait(Component::watchers(vec![user])).unwrap().pop().unwrap()
}

fn remove(user: u64, other: u64) -> Result<(), Error> {
    wait(Component::remove(caller(user), other))
}

fn block(user: u64, other: u64) -> Result<(), Error> {
    wait(Component::block(caller(user), other))
}

fn unblock(user: u64, other: u64) -> Result<(), Error> {
    wait(Component::unblock(caller(user), other))
}

fn states(user: u64) -> Vec<(u64, ContactState)> {
    let page = wait(Component::list(caller(user), None, None)).unwrap();
    page.iter().map(|contact| (contact.user, contact.state)).collect()
}

fn code<T>(outcome: Result<T, Error>) -> Option<ErrorCode> {
    outcome.err().map(|error| error.code)
}

/// What holds after every change: each side has its mirror.
fn check(world: &World) {
    let alone = world.one(
        "SELECT COUNT(*) FROM contacts c WHERE NOT EXISTS (SELECT 1 FROM contacts o \
         WHERE o.owner_id = c.peer_id AND o.peer_id = c.owner_id \
         AND o.state = CASE c.state WHEN 0 THEN 1 WHEN 1 THEN 0 ELSE 2 END)",
    );
    assert_eq!(alone, 0);
}

#[test]
fn a_request_is_incoming_at_the_other_and_told_once() {
    let world = World::with_users(2);
    assert_eq!(request(1, 2).unwrap(), ContactState::Requested);
    assert_eq!(
        world.told(),
        ["ContactChangeKind::Requested by 1 to [2] [] except None"]
    );
    assert_eq!(request(1, 2).unwrap(), ContactState::Requested);
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(states(1), [(2, ContactState::Requested)]);
    assert_eq!(states(2), [(1, ContactState::Incoming)]);
    check(&world);
}

#[test]
fn requests_of_both_make_a_contact() {
    let world = World::with_users(2);
    request(1, 2).unwrap();
    world.told();
    assert_eq!(request(2, 1).unwrap(), ContactState::Accepted);
    assert_eq!(world.told(), ["ContactChangeKind::Accepted by 2 to [1] [] except None"]);
    assert_eq!(request(1, 2).unwrap(), ContactState::Accepted);
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(
        (states(1), states(2)),
        (vec![(2, ContactState::Accepted)], vec![(1, ContactState::Accepted)])
    );
    check(&world);
}

#[test]
fn a_request_that_another_overtakes_accepts_it() {
    let world = World::with_users(2);
    world.before(&[Call::Batch], 0, |world| {
        world.exec("INSERT INTO contacts VALUES (2, 1, 0, 5), (1, 2, 1, 5)")
    });
    assert_eq!(request(1, 2).unwrap(), ContactState::Accepted);
    check(&world);
}

#[test]
fn a_request_needs_another_who_is_known() {
    let _world = World::with_users(2);
    assert_eq!(code(request(1, 1)), Some(ErrorCode::Invalid));
    assert_eq!(code(request(1, 3)), Some(ErrorCode::NotFound));
    assert_eq!(code(request(1, 0)), Some(ErrorCode::NotFound));
    assert_eq!(code(request(1, u64::MAX)), Some(ErrorCode::NotFound));
    assert_eq!(states(1), []);
}

#[test]
fn only_the_one_who_was_asked_accepts() {
    let world = World::with_users(2);
    assert_eq!(code(accept(2, 1)), Some(ErrorCode::NotFound));
    request(1, 2).unwrap();
    world.told();
    assert_eq!(code(accept(1, 2)), Some(ErrorCode::NotFound));
    accept(2, 1).unwrap();
    assert_eq!(world.told(), ["ContactChangeKind::Accepted by 2 to [1] [] except None"]);
    accept(2, 1).unwrap();
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(states(1), [(2, ContactState::Accepted)]);
    check(&world);
}

#[test]
fn a_declined_request_is_gone_and_may_be_made_again() {
    let world = World::with_users(2);
    request(1, 2).unwrap();
    assert_eq!(code(decline(1, 2)), Some(ErrorCode::NotFound));
    world.told();
    decline(2, 1).unwrap();
    assert_eq!(world.told(), ["ContactChangeKind::Declined by 2 to [1] [] except None"]);
    assert_eq!(code(decline(2, 1)), Some(ErrorCode::NotFound));
    assert_eq!((states(1), states(2)), (vec![], vec![]));
    assert_eq!(request(1, 2).unwrap(), ContactState::Requested);
    check(&world);
}

#[test]
fn a_contact_and_an_own_request_are_removed_for_both() {
    let world = World::with_users(3);
    request(1, 2).unwrap();
    accept(2, 1).unwrap();
    request(1, 3).unwrap();
    assert_eq!(code(remove(3, 1)), Some(ErrorCode::NotFound));
    world.told();
    remove(2, 1).unwrap();
    remove(1, 3).unwrap();
    assert_eq!(
        world.told(),
        [
            "ContactChangeKind::Removed by 2 to [1] [] except None",
            "ContactChangeKind::Removed by 1 to [3] [] except None"
        ]
    );
    assert_eq!(code(remove(2, 1)), Some(ErrorCode::NotFound));
    assert_eq!(world.one("SELECT COUNT(*) FROM contacts"), 0);
}

#[test]
fn a_block_ends_the_contact_in_silence() {
    let world = World::with_users(2);
    request(1, 2).unwrap();
    accept(2, 1).unwrap();
    world.told();
    block(1, 2).unwrap();
    block(1, 2).unwrap();
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!((states(1), states(2)), (vec![], vec![]));
    assert_eq!(wait(Component::blocked(caller(1))).unwrap(), [2]);
    assert_eq!(code(request(2, 1)), Some(ErrorCode::Blocked));
    unblock(1, 2).unwrap();
    unblock(1, 2).unwrap();
    assert_eq!(request(2, 1).unwrap(), ContactState::Requested);
    check(&world);
}

#[test]
fn a_block_that_comes_first_refuses_the_request() {
    let world = World::with_users(2);
    world.before(&[Call::Batch], 0, |world| {
        world.exec("INSERT INTO blocks VALUES (2, 1, 5)")
    });
    assert_eq!(code(request(1, 2)), Some(ErrorCode::Blocked));
    assert_eq!(world.one("SELECT COUNT(*) FROM contacts"), 0);
}

#[test]
fn blocks_are_bounded_and_a_repeat_is_none_more() {
    let world = World::with_users(4);
    world.set("max-blocks", "2");
    block(1, 2).unwrap();
    block(1, 3).unwrap();
    assert_eq!(code(block(1, 4)), Some(ErrorCode::TooLarge));
    block(1, 3).unwrap();
    assert_eq!(code(block(1, 1)), Some(ErrorCode::Invalid));
    assert_eq!(code(block(1, 9)), Some(ErrorCode::NotFound));
    assert_eq!(wait(Component::blocked(caller(1))).unwrap(), [2, 3]);
}

#[test]
fn contacts_are_listed_by_user_id_with_name_and_block() {
    let world = World::with_users(4);
    for other in [4, 2, 3] {
        request(1, other).unwrap();
        accept(other, 1).unwrap();
    }
    world.exec("INSERT INTO blocks VALUES (1, 3, 5)");
    let first = wait(Component::list(caller(1), None, Some(2))).unwrap();
    let seen: Vec<_> = first
        .iter()
        .map(|contact| (contact.user, contact.name.as_str(), contact.blocked))
        .collect();
    assert_eq!(seen, [(2, "U2", false), (3, "U3", true)]);
    assert!(first.iter().all(|contact| contact.since > 1));
    let rest = wait(Component::list(caller(1), Some(3), None)).unwrap();
    assert_eq!(rest.iter().map(|contact| contact.user).collect::<Vec<_>>(), [4]);
}

#[test]
fn watchers_are_the_accepted_contacts_who_are_not_blocked() {
    let _world = World::with_users(5);
    for other in [2, 3, 4] {
        request(1, other).unwrap();
    }
    request(5, 1).unwrap();
    accept(2, 1).unwrap();
    accept(3, 1).unwrap();
    assert_eq!(watchers(1), [2, 3]);
    block(1, 3).unwrap();
    assert_eq!(watchers(1), [2]);
    assert_eq!(watchers(2), [1]);
    assert_eq!(watchers(9), []);
    let of_several = wait(Component::watchers(vec![9, 2, 1, 2])).unwrap();
    assert_eq!(of_several, [vec![], vec![1], vec![2], vec![1]]);
    assert_eq!(code(wait(Component::watchers(vec![1; 101]))), Some(ErrorCode::TooLarge));
}

#[test]
fn a_user_is_found_by_the_whole_name_in_any_case() {
    let _world = World::with_users(12);
    let found = wait(Component::find(caller(1), "u12".to_owned())).unwrap();
    assert_eq!((found.id, found.name), (12, "U12".to_owned()));
    assert_eq!(wait(Component::find(caller(1), "U12".to_owned())).unwrap().id, 12);
    assert_eq!(
        code(wait(Component::find(caller(1), "U1%".to_owned()))),
        Some(ErrorCode::NotFound)
    );
    assert_eq!(
        code(wait(Component::find(caller(1), String::new()))),
        Some(ErrorCode::Invalid)
    );
}

#[test]
fn a_lost_hint_fails_no_change() {
    let world = World::with_users(2);
    world.take_away(Call::PUSHES);
    request(1, 2).unwrap();
    accept(2, 1).unwrap();
    remove(1, 2).unwrap();
    assert_eq!(world.one("SELECT COUNT(*) FROM contacts"), 0);
}

#[test]
fn relations_are_read_from_the_store_once_until_they_change() {
    let world = World::with_users(3);
    let all = || {
        let watchers: Vec<_> = (1..=3).map(watchers).collect();
        (watchers, wait(Component::blocked(caller(1))).unwrap())
    };
    all();
    assert_eq!(world.calls_of(&[Call::Query], all), 0);
    request(1, 2).unwrap();
    accept(2, 1).unwrap();
    assert_eq!(all(), (vec![vec![2], vec![1], vec![]], vec![]));
    remove(1, 2).unwrap();
    assert_eq!(all(), (vec![vec![], vec![], vec![]], vec![]));
    request(1, 2).unwrap();
    request(2, 1).unwrap();
    assert_eq!(all().0, [vec![2], vec![1], vec![]]);
    block(2, 1).unwrap();
    block(1, 3).unwrap();
    assert_eq!(all(), (vec![vec![], vec![], vec![]], vec![3]));
    unblock(1, 3).unwrap();
    assert_eq!(all().1, Vec::<u64>::new());
    assert_eq!(world.calls_of(&[Call::Query], all), 0);
}

#[test]
fn names_are_read_once_and_a_new_user_is_found_at_once() {
    let world = World::with_users(3);
    let names = |ids: &[u64]| {
        let users = wait(Component::users(caller(1), ids.to_vec())).unwrap();
        users.into_iter().map(|user| (user.id, user.name)).collect::<Vec<_>>()
    };
    let expected = vec![(1, "U1".to_owned()), (3, "U3".to_owned())];
    assert_eq!(
        world.calls_of(&[Call::Query], || assert_eq!(names(&[3, 9, 1, 3]), expected)),
        1
    );
    assert_eq!(
        world.calls_of(&[Call::Query], || assert_eq!(names(&[1, 3, 9]), expected)),
        0
    );
    assert_eq!(world.calls_of(&[Call::Query], || names(&[2, 1, 3])), 1);
    let find = || wait(Component::find(caller(1), "Newcomer".to_owned()));
    assert_eq!(code(find()), Some(ErrorCode::NotFound));
    world.exec("INSERT INTO users VALUES (4, 'Newcomer', 'newcomer', 'x', 1)");
    assert_eq!(find().unwrap().id, 4);
    assert_eq!(world.calls_of(&[Call::Query], find), 0);
}
