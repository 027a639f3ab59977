//! Who has a connection and who waits, told step by step.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

/// Connections that say when they are dropped.
#[derive(Default)]
struct Made {
    number: usize,
    dropped: Rc<RefCell<Vec<usize>>>,
}

#[derive(Debug)]
struct Connection {
    number: usize,
    dropped: Rc<RefCell<Vec<usize>>>,
}

impl Made {
    fn connection(&mut self) -> Connection {
        self.number += 1;
        Connection {
            number: self.number,
            dropped: Rc::clone(&self.dropped),
        }
    }

    /// A lease with a connection, which is made where none is free.
    fn lease<'a>(&mut self, pool: &'a Pool<Connection>) -> Option<Lease<'a, Connection>> {
        let mut lease = pool.stand_in_line()?.take()?;
        if !lease.find() {
            lease.fill(self.connection());
        }
        Some(lease)
    }

    fn dropped(&self) -> Vec<usize> {
        self.dropped.borrow().clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.dropped.borrow_mut().push(self.number);
    }
}

fn number(lease: &Lease<'_, Connection>) -> usize {
    lease.connection().expect("a connection").number
}

#[test]
fn there_are_so_many_connections_and_no_more() {
    let (pool, mut made) = (Pool::new(3), Made::default());
    let mut leases: Vec<_> = (0..3).map(|_| made.lease(&pool).expect("a connection")).collect();
    assert!(made.lease(&pool).is_none());
    drop(leases.pop());
    leases.push(made.lease(&pool).expect("the one that was given back"));
    assert_eq!((number(&leases[2]), made.number), (3, 3));
    // Thousands of uses, in any order: no more are made.
    for round in 0..1_000 {
        drop(leases.swap_remove(round % 3));
        leases.push(made.lease(&pool).expect("a connection"));
    }
    assert_eq!(made.number, 3);
}

#[test]
fn whoever_came_first_is_served_first() {
    let (pool, mut made) = (Pool::new(1), Made::default());
    let first = made.lease(&pool);
    let turns: Vec<_> = (0..5).map(|_| pool.stand_in_line().expect("a turn")).collect();
    assert_eq!(turns.iter().map(Turn::ahead).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    drop(first);
    // Whoever comes now, or asks out of turn, is not before those that wait.
    assert!(made.lease(&pool).is_none());
    for (index, turn) in turns.iter().enumerate() {
        assert!(turns[index + 1..].iter().all(|later| later.take().is_none()));
        let lease = turn.take().expect("its turn");
        assert_eq!(number(&lease), 1);
    }
}

#[test]
fn nobody_waits_for_one_ahead_that_has_not_asked_yet() {
    let (pool, mut made) = (Pool::new(2), Made::default());
    let held: Vec<_> = (0..2).map(|_| made.lease(&pool)).collect();
    let turns: Vec<_> = (0..3).map(|_| pool.stand_in_line().expect("a turn")).collect();
    drop(held);
    assert!(turns[2].take().is_none(), "both are for the two ahead");
    let second = turns[1].take().expect("one of two");
    assert!(turns[2].take().is_none(), "the other is for the one ahead");
    let first = turns[0].take().expect("the other");
    drop(second);
    drop(turns[2].take().expect("nobody is ahead"));
    drop(first);
    assert_eq!(made.number, 2);
}

#[test]
fn whoever_is_given_up_while_it_waits_leaves_the_line() {
    let (pool, mut made) = (Pool::new(1), Made::default());
    let held = made.lease(&pool);
    let mut turns: Vec<_> = (0..3).map(|_| pool.stand_in_line().expect("a turn")).collect();
    drop(turns.remove(0));
    drop(held);
    assert!(turns[1].take().is_none());
    drop(turns[0].take().expect("it is first now"));
    drop(turns.remove(1).take().expect("and then the last"));
    assert_eq!(made.number, 1);
}

#[test]
fn a_lease_whose_connection_was_not_made_makes_room_for_another() {
    let (pool, mut made) = (Pool::new(1), Made::default());
    for _ in 0..3 {
        let lease = pool.stand_in_line().and_then(|turn| turn.take()).expect("room");
        assert!(lease.connection().is_none());
    }
    assert_eq!(number(&made.lease(&pool).expect("room")), 1);
}

#[test]
fn a_connection_in_doubt_is_never_used_again_and_dropped_when_nobody_has_one() {
    let (pool, mut made) = (Pool::new(3), Made::default());
    let mut doubtful = made.lease(&pool).expect("a connection");
    let other = made.lease(&pool).expect("a connection");
    drop(made.lease(&pool).expect("a connection"));
    doubtful.judge(false);
    drop(doubtful);
    assert!(made.dropped().is_empty(), "another one is in use");
    // There would be room and even a free one, but the moment must come at which nobody has any.
    assert!(made.lease(&pool).is_none());
    drop(other);
    assert_eq!(made.dropped(), [1]);
    let leases: Vec<_> = (0..3).map(|_| made.lease(&pool).expect("a connection")).collect();
    assert!(leases.iter().all(|lease| number(lease) != 1));
    assert_eq!(made.number, 4);
}

#[test]
fn what_is_free_is_given_up_at_once_and_what_is_in_use_by_who_has_it() {
    let (pool, mut made) = (Pool::new(2), Made::default());
    let mut held = made.lease(&pool).expect("a connection");
    drop(made.lease(&pool));
    pool.give_up_free();
    assert!(made.dropped().is_empty(), "one is in use");
    held.judge(false);
    drop(held);
    let mut dropped = made.dropped();
    dropped.sort_unstable();
    assert_eq!(dropped, [1, 2]);
    drop(made.lease(&pool));
    pool.give_up_free();
    assert_eq!(made.dropped().len(), 3, "nobody has one");
}

#[test]
fn what_is_spare_counts_while_it_is_out() {
    let (pool, mut made) = (Pool::new(1), Made::default());
    assert!(pool.spare().is_none(), "none is made for it");
    drop(made.lease(&pool));
    let spare = pool.spare().expect("the free one");
    assert!(made.lease(&pool).is_none());
    drop(spare);
    assert!(made.lease(&pool).is_some());
}

#[test]
fn a_smaller_bound_is_kept_as_connections_come_back() {
    let (pool, mut made) = (Pool::new(3), Made::default());
    let leases: Vec<_> = (0..3).map(|_| made.lease(&pool).expect("a connection")).collect();
    pool.bound(1);
    drop(leases);
    assert_eq!(made.dropped().len(), 2);
    let lease = made.lease(&pool).expect("a connection");
    assert!(made.lease(&pool).is_none());
    assert_eq!(made.number, 3);
    drop(lease);
    pool.bound(0);
    assert!(made.lease(&pool).is_some(), "there is always one");
}

#[test]
fn what_was_had_for_long_is_used_until_nobody_has_any() {
    let (pool, mut made) = (Pool::new(2), Made::default());
    let mut first = made.lease(&pool).expect("a connection");
    let mut second = made.lease(&pool).expect("a connection");
    first.age(true);
    drop(first);
    let again = made.lease(&pool).expect("nobody waits for its end");
    assert_eq!((number(&again), made.dropped()), (1, vec![]));
    drop(again);
    second.age(true);
    drop(second);
    assert_eq!(made.dropped().len(), 2);
    assert_eq!(number(&made.lease(&pool).expect("a connection")), 3);
}

#[test]
fn the_line_is_bounded() {
    let pool: Pool<()> = Pool::new(1);
    let turns: Vec<_> = (0..WAITING_MAX)
        .map(|_| pool.stand_in_line().expect("a turn"))
        .collect();
    assert!(pool.stand_in_line().is_none());
    drop(turns);
    assert!(pool.stand_in_line().is_some());
}
