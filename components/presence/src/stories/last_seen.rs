//! When users were last online: told at once, kept a little later, and never set back.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::behind::{Part, USERS};
use super::{Metadata, caller, connection, finish};
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

fn hints_lost(host: &Metadata) -> u64 {
    host.lost_hints.take()
}

/// A user that came and went, and when they went.
fn gone(user: u64) -> (Rc<Metadata>, u64) {
    let host = Metadata::watched_by(&[]);
    come(user);
    let before = guest::now_ms();
    go(user);
    (host, before)
}

#[test]
fn who_goes_is_told_as_last_seen_at_once_and_who_is_online_is_not() {
    let host = Metadata::watched_by(&[2]);
    assert_eq!(status(7).last_seen, None, "never seen");
    come(7);
    assert_eq!((status(7).online, status(7).last_seen), (true, None));
    let before = guest::now_ms();
    go(7);
    let at = status(7).last_seen.unwrap();
    assert!((before..=guest::now_ms()).contains(&at));
    assert_eq!(host.told_at.take().last(), Some(&at), "watchers are told the same");
    assert!(host.behind.kept().is_empty(), "nobody waits for the store");
    come(7);
    assert_eq!(status(7).last_seen, None, "online again");
}

#[test]
fn what_the_timer_has_written_is_told_when_the_cache_has_forgotten_it() {
    let (host, before) = gone(7);
    let at = status(7).last_seen.unwrap();
    keep().unwrap();
    assert_eq!(host.behind.waiting(), 0);
    host.behind.empty_cache();
    assert_eq!(status(7).last_seen, Some(at));
    assert!(at >= before);
    assert_eq!(hints_lost(&host), 0);
}

#[test]
fn who_came_to_a_node_that_dies_was_seen_when_they_came() {
    let host = Metadata::watched_by(&[]);
    let before = guest::now_ms();
    come(7);
    keep().unwrap();
    host.sets.borrow_mut().clear();
    host.behind.empty_cache();
    assert!(status(7).last_seen >= Some(before));
}

#[test]
fn many_users_cost_one_read_of_the_cache_and_one_of_the_store() {
    let host = Metadata::watched_by(&[]);
    come(1);
    (2..=40).for_each(|user| note(user, user));
    keep().unwrap();
    host.behind.empty_cache();
    (2..=20).for_each(|user| note(user, 1000 + user));
    let users: Vec<u64> = (1..=41).chain([3, 30]).collect();
    host.behind.reads.take();
    let statuses = finish(Component::batch_get_status(caller(), users)).unwrap();
    assert_eq!(host.behind.reads.take(), (1, 1));
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
    let (host, _) = gone(7);
    host.behind.reads.take();
    status(7);
    assert_eq!(host.behind.reads.take(), (1, 0));
}

/// Numbers that look random (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[test]
fn in_whatever_order_entries_come_and_come_again_the_latest_time_stays() {
    let given = std::env::var("MPIM_SEED").ok();
    let seed = given.map_or_else(guest::now_ms, |seed| seed.parse().expect("MPIM_SEED is a number"));
    eprintln!("entries in any order: MPIM_SEED={seed}");
    let mut random = Random(seed);
    let host = Metadata::watched_by(&[]);
    let mut latest = BTreeMap::new();
    for _ in 0..2000 {
        match random.below(8) {
            0 => drop(keep()),
            1 => host.behind.give_again(),
            2 => host.behind.take_away(Part::Acknowledging),
            3 => host.behind.give_back(Part::Acknowledging),
            4 => host.behind.overtaken.set(1),
            _ => {
                let (user, at) = (1 + random.below(5), random.below(1_000_000));
                note(user, at);
                let time = latest.entry(user).or_insert(at);
                *time = at.max(*time);
            }
        }
        let kept = host.behind.kept();
        assert!(kept.iter().all(|(user, at)| latest[user] >= *at), "out of nowhere");
    }
    host.behind.give_back(Part::Acknowledging);
    host.behind.give_again();
    keep().unwrap();
    assert_eq!((host.behind.kept(), host.behind.waiting()), (latest, 0));
}

#[test]
fn entries_that_were_written_and_not_acknowledged_change_nothing_when_they_come_again() {
    let host = Metadata::watched_by(&[]);
    note(7, 100);
    host.behind.take_away(Part::Acknowledging);
    assert!(keep().is_err());
    assert_eq!(host.behind.kept(), BTreeMap::from([(7, 100)]), "committed before");
    host.behind.give_back(Part::Acknowledging);
    note(7, 200);
    keep().unwrap();
    assert_eq!(host.behind.waiting(), 1, "the first is still open");
    host.behind.give_again();
    keep().unwrap();
    assert_eq!(
        (host.behind.kept(), host.behind.waiting()),
        (BTreeMap::from([(7, 200)]), 0)
    );
}

#[test]
fn a_write_that_another_node_overtook_is_made_again_and_given_up_in_the_end() {
    let host = Metadata::watched_by(&[]);
    note(7, 100);
    host.behind.overtaken.set(100);
    assert!(keep().unwrap_err().retryable);
    host.behind.overtaken.set(2);
    host.behind.give_again();
    keep().unwrap();
    assert_eq!(host.behind.kept(), BTreeMap::from([(7, 100)]));
}

#[test]
fn without_a_cache_times_are_told_once_they_are_written() {
    let host = Metadata::watched_by(&[]);
    host.behind.take_away(Part::Cache);
    come(7);
    go(7);
    assert_eq!(hints_lost(&host), 2);
    assert_eq!(status(7).last_seen, None);
    keep().unwrap();
    assert!(status(7).last_seen.is_some());
}

#[test]
fn without_a_queue_times_are_told_while_the_cache_has_them() {
    let host = Metadata::watched_by(&[]);
    host.behind.take_away(Part::Queue);
    come(7);
    go(7);
    assert_eq!(hints_lost(&host), 2, "each loss is counted");
    assert!(status(7).last_seen.is_some());
    assert!(keep().is_err());
}

#[test]
fn without_a_store_statuses_are_told_without_times_and_nothing_is_lost() {
    let host = Metadata::watched_by(&[]);
    note(7, 100);
    host.behind.empty_cache();
    host.behind.take_away(Part::Store);
    assert!(keep().is_err());
    assert_eq!((status(7).online, status(7).last_seen), (false, None));
    assert_eq!(hints_lost(&host), 2);
    host.behind.give_back(Part::Store);
    host.behind.give_again();
    keep().unwrap();
    assert_eq!(status(7).last_seen, Some(100));
}

#[test]
fn entries_that_say_nothing_are_counted_and_never_come_again() {
    let host = Metadata::watched_by(&[]);
    note(7, 100);
    for payload in ["", "7", "7,later", "7,18446744073709551615"] {
        let published = guest::queue::publish("presence/last-seen", guest::Priority::Normal, payload.into());
        finish(published).unwrap();
    }
    note(USERS + 1, 100);
    keep().unwrap();
    assert_eq!(host.undecodable.take(), 4);
    assert_eq!(
        (host.behind.kept(), host.behind.waiting()),
        (BTreeMap::from([(7, 100)]), 0)
    );
}

#[test]
fn one_call_takes_a_bounded_number_of_entries_in_batches_of_bounded_length() {
    let host = Metadata::watched_by(&[]);
    let (bound, more) = (32_000, 500);
    for at in 0..bound + more {
        note(1 + at % USERS, at);
    }
    keep().unwrap();
    assert_eq!(host.behind.waiting() as u64, more);
    assert_eq!(host.behind.longest_batch.get(), 400);
    keep().unwrap();
    assert_eq!(host.behind.waiting(), 0);
    let latest = (bound + more - USERS..bound + more).map(|at| (1 + at % USERS, at));
    assert_eq!(host.behind.kept(), latest.collect());
}
