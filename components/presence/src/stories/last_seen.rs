//! When users were last online: told at once, kept a little later, and never set back.

use std::collections::BTreeMap;

use native::{Call, Fault, Random, World};

use super::{USERS, caller, connection, finish, hints_lost, told_at, watched_by};
use crate::bindings::exports::mpim::im::presence::{Guest, Status};
use crate::bindings::exports::mpim::im::presence_lease::Guest as LeaseGuest;
use crate::bindings::exports::mpim::im::presence_record::Guest as RecordGuest;
use crate::{Component, last_seen};

fn status(user: u64) -> Status {
    finish(Component::get_status(caller(), user)).unwrap()
}

fn come(user: u64) {
    finish(Component::set_online(connection(1, user, "phone"))).unwrap();
}

fn go(user: u64) {
    finish(Component::set_offline(connection(1, user, "phone"))).unwrap();
}

fn note(user: u64, at: u64) {
    finish(last_seen::note(&[user], at));
}

fn keep() -> Result<(), guest::Error> {
    finish(Component::keep_last_seen())
}

/// How many entries wait for the timer.
fn waiting(world: &World) -> usize {
    world.queue().waiting(last_seen::TOPIC, last_seen::GROUP)
}

/// What the store has: the time of each user.
fn kept(world: &World) -> BTreeMap<u64, u64> {
    let rows = world.rows("SELECT user_id, at FROM last_seen");
    rows.iter()
        .map(|row| (row[0].cast_unsigned(), row[1].cast_unsigned()))
        .collect()
}

/// How many reads of the cache and of the store a piece of work makes.
fn reads_of<T>(world: &World, work: impl FnOnce() -> T) -> (u64, u64) {
    let reads = || (world.calls(&[Call::Get]), world.calls(&[Call::Query]));
    let before = reads();
    work();
    let after = reads();
    (after.0 - before.0, after.1 - before.1)
}

/// A user that came and went, and when they went.
fn gone(user: u64) -> (World, u64) {
    let world = watched_by(&[]);
    come(user);
    world.clock().advance_ms(1000);
    go(user);
    let at = world.clock().now_ms();
    world.clock().advance_ms(1000);
    (world, at)
}

#[test]
fn who_goes_is_told_as_last_seen_at_once_and_who_is_online_is_not() {
    let world = watched_by(&[2]);
    assert_eq!(status(7).last_seen, None, "never seen");
    come(7);
    assert_eq!((status(7).online, status(7).last_seen), (true, None));
    world.clock().advance_ms(1000);
    go(7);
    let at = world.clock().now_ms();
    world.clock().advance_ms(1000);
    assert_eq!(status(7).last_seen, Some(at));
    let told = told_at(&world);
    assert_eq!(
        told.last(),
        Some(&(vec![2], 7, false, at)),
        "watchers are told the same"
    );
    assert!(kept(&world).is_empty(), "nobody waits for the store");
    come(7);
    assert_eq!(status(7).last_seen, None, "online again");
}

#[test]
fn what_the_timer_has_written_is_told_when_the_cache_has_forgotten_it() {
    let (world, at) = gone(7);
    assert_eq!(status(7).last_seen, Some(at));
    keep().unwrap();
    assert_eq!(waiting(&world), 0);
    world.cache().clear();
    assert_eq!(status(7).last_seen, Some(at));
    assert_eq!(hints_lost(&world), 0);
}

#[test]
fn who_came_to_a_node_that_dies_was_seen_when_they_came() {
    let world = watched_by(&[]);
    come(7);
    let at = world.clock().now_ms();
    keep().unwrap();
    world.clock().advance_ms(60_000);
    world.metadata().clear();
    world.cache().clear();
    assert_eq!(status(7).last_seen, Some(at));
}

#[test]
fn many_users_cost_one_read_of_the_cache_and_one_of_the_store() {
    let world = watched_by(&[]);
    come(1);
    (2..=40).for_each(|user| note(user, user));
    keep().unwrap();
    world.cache().clear();
    (2..=20).for_each(|user| note(user, 1000 + user));
    let users: Vec<u64> = (1..=41).chain([3, 30]).collect();
    let mut statuses = Vec::new();
    let reads = reads_of(&world, || {
        statuses = finish(Component::batch_get_status(caller(), users)).unwrap();
    });
    assert_eq!(reads, (1, 1));
    for status in statuses {
        let expected = match status.user {
            1 | 41 => None,
            user @ ..=20 => Some(1000 + user),
            user => Some(user),
        };
        assert_eq!(status.last_seen, expected, "user {}", status.user);
    }
}

#[test]
fn who_all_are_in_the_cache_cost_the_store_nothing() {
    let (world, _) = gone(7);
    assert_eq!(reads_of(&world, || status(7)), (1, 0));
}

#[test]
fn in_whatever_order_entries_come_and_come_again_the_latest_time_stays() {
    let mut random = Random::new(native::seed());
    let world = watched_by(&[]);
    let mut latest = BTreeMap::new();
    for _ in 0..2000 {
        match random.below(8) {
            0 => drop(keep()),
            1 => world.queue().give_again(),
            2 => world.take_away(&[Call::Ack]),
            3 => world.give_back(&[Call::Ack]),
            4 => world.fail(Call::WRITES, Fault::Overtaken),
            _ => {
                let (user, at) = (1 + random.below(5), random.below(1_000_000));
                note(user, at);
                let time = latest.entry(user).or_insert(at);
                *time = at.max(*time);
            }
        }
        let kept = kept(&world);
        assert!(kept.iter().all(|(user, at)| latest[user] >= *at), "out of nowhere");
    }
    world.give_back(&[Call::Ack]);
    world.queue().give_again();
    keep().unwrap();
    assert_eq!((kept(&world), waiting(&world)), (latest, 0));
}

#[test]
fn entries_that_were_written_and_not_acknowledged_change_nothing_when_they_come_again() {
    let world = watched_by(&[]);
    note(7, 100);
    world.take_away(&[Call::Ack]);
    assert!(keep().is_err());
    assert_eq!(kept(&world), BTreeMap::from([(7, 100)]), "committed before");
    world.give_back(&[Call::Ack]);
    note(7, 200);
    keep().unwrap();
    assert_eq!(waiting(&world), 1, "the first is still open");
    world.queue().give_again();
    keep().unwrap();
    assert_eq!((kept(&world), waiting(&world)), (BTreeMap::from([(7, 200)]), 0));
}

#[test]
fn a_write_that_another_node_overtook_is_made_again_and_given_up_in_the_end() {
    let world = watched_by(&[]);
    note(7, 100);
    world.fail_times(Call::WRITES, Fault::Overtaken, 100);
    assert!(keep().unwrap_err().retryable);
    world.fail_times(Call::WRITES, Fault::Overtaken, 2);
    world.queue().give_again();
    keep().unwrap();
    assert_eq!(kept(&world), BTreeMap::from([(7, 100)]));
}

#[test]
fn without_a_cache_times_are_told_once_they_are_written() {
    let world = watched_by(&[]);
    world.take_away(Call::CACHE);
    come(7);
    go(7);
    assert_eq!(hints_lost(&world), 2);
    assert_eq!(status(7).last_seen, None);
    keep().unwrap();
    assert!(status(7).last_seen.is_some());
}

#[test]
fn without_a_queue_times_are_told_while_the_cache_has_them() {
    let world = watched_by(&[]);
    world.take_away(Call::QUEUE);
    come(7);
    go(7);
    assert_eq!(hints_lost(&world), 2, "each loss is counted");
    assert!(status(7).last_seen.is_some());
    assert!(keep().is_err());
}

#[test]
fn without_a_store_statuses_are_told_without_times_and_nothing_is_lost() {
    let world = watched_by(&[]);
    note(7, 100);
    world.cache().clear();
    world.take_away(Call::STORE);
    assert!(keep().is_err());
    assert_eq!((status(7).online, status(7).last_seen), (false, None));
    assert_eq!(hints_lost(&world), 2);
    world.give_back(Call::STORE);
    world.queue().give_again();
    keep().unwrap();
    assert_eq!(status(7).last_seen, Some(100));
}

#[test]
fn entries_that_say_nothing_are_counted_and_never_come_again() {
    let world = watched_by(&[]);
    note(7, 100);
    for payload in ["", "7", "7,later", "7,18446744073709551615"] {
        let published = guest::queue::publish(last_seen::TOPIC, guest::Priority::Normal, payload.into());
        finish(published).unwrap();
    }
    note(USERS + 1, 100);
    keep().unwrap();
    assert_eq!(world.telemetry().counted("mpim_last_seen_undecodable"), 4);
    assert_eq!((kept(&world), waiting(&world)), (BTreeMap::from([(7, 100)]), 0));
}

#[test]
fn one_call_takes_a_bounded_number_of_entries_in_batches_of_bounded_length() {
    let world = watched_by(&[]);
    let (bound, more) = (32_000, 500);
    for at in 0..bound + more {
        note(1 + at % USERS, at);
    }
    keep().unwrap();
    assert_eq!(waiting(&world) as u64, more);
    assert_eq!(world.longest_batch(), 400);
    keep().unwrap();
    assert_eq!(waiting(&world), 0);
    let latest = (bound + more - USERS..bound + more).map(|at| (1 + at % USERS, at));
    assert_eq!(kept(&world), latest.collect());
}
