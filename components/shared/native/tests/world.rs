//! What the world promises to the tests that live in it.

use std::pin::pin;
use std::task::{Context, Waker};

use guest::metadata::Lease;
use guest::queue::{self, Entry};
use guest::sql::{self, Batch, Error as SqlError};
use guest::{Error, ErrorCode, Priority, cache, metadata, params, rate_limit};
use native::{BEGINNING_MS, Call, Fault, World, run};

const ADD: &str = "INSERT INTO users (id, name, name_key, password_hash, created_at) VALUES (?, 'a', ?, 'x', 1)";
const COUNT: &str = "SELECT COUNT(*) FROM users";

fn add(id: u64) -> Result<u64, SqlError> {
    run(sql::execute(ADD, params![id, id.to_string()]))
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let world = World::with_users(0);
    assert_eq!((guest::now_ms(), guest::now_ms()), (BEGINNING_MS, BEGINNING_MS));
    world.clock().advance_ms(5);
    assert_eq!(guest::now_ms(), BEGINNING_MS + 5);
    world.clock().set_ms(7);
    assert_eq!(guest::now_ms(), 7);
}

#[test]
fn a_batch_is_kept_as_a_whole_or_not_at_all() {
    let world = World::with_users(0);
    let batch = || Batch::new().step(ADD, params![1_u64, "a"]);
    let nobody = "UPDATE users SET name = 'b' WHERE id = 9";
    let unmet = run(batch().need(nobody, params![]).run()).unwrap_err();
    assert_eq!((unmet, world.one(COUNT)), (SqlError::Unmet(1), 0));
    run(batch().run()).unwrap();
    assert!(matches!(add(1), Err(SqlError::UniqueViolation(_))));
    assert_eq!(world.one(COUNT), 1);
}

#[test]
fn a_refused_write_keeps_nothing_and_one_whose_answer_is_lost_keeps_all() {
    let world = World::with_users(0);
    world.fail(Call::WRITES, Fault::Refused);
    assert!(matches!(add(1), Err(SqlError::Unavailable(_))));
    assert_eq!(world.one(COUNT), 0);
    world.fail(Call::WRITES, Fault::AnswerLost);
    assert!(matches!(add(1), Err(SqlError::Timeout(_))));
    assert_eq!(world.one(COUNT), 1);
    world.fail_times(Call::WRITES, Fault::Overtaken, 2);
    for _ in 0..2 {
        assert!(matches!(add(2), Err(SqlError::UniqueViolation(_))));
    }
    assert_eq!(add(2), Ok(1));
}

#[test]
fn what_is_taken_away_is_unavailable_until_it_is_given_back() {
    let world = World::with_users(1);
    world.take_away(Call::STORE);
    assert!(matches!(
        run(sql::query(COUNT, params![])),
        Err(SqlError::Unavailable(_))
    ));
    assert_eq!(world.calls(Call::STORE), 0, "it was never reached");
    world.give_back(&[Call::Query]);
    assert_eq!(run(sql::query(COUNT, params![])).unwrap().len(), 1);
    assert!(matches!(add(2), Err(SqlError::Unavailable(_))));
}

#[test]
fn others_come_in_before_a_call_and_a_dropped_call_does_nothing() {
    let world = World::with_users(0);
    world.before(&[Call::Execute], 1, |world| world.add_user(2));
    add(1).unwrap();
    assert!(matches!(add(2), Err(SqlError::UniqueViolation(_))));
    {
        let mut dropped = pin!(sql::execute(ADD, params![3_u64, "c"]));
        assert!(
            dropped
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    assert_eq!(world.one(COUNT), 2);
}

#[test]
fn stale_answers_are_those_of_the_last_copy() {
    let world = World::with_users(1);
    let counts = || {
        let stale = run(sql::query_stale(COUNT, params![])).unwrap();
        (stale.first().unwrap().at::<u64>(0).unwrap(), world.one(COUNT))
    };
    assert_eq!(counts(), (1, 1));
    world.store().copy();
    world.add_user(2);
    assert_eq!(counts(), (1, 2));
}

#[test]
fn a_lease_ends_by_itself_unless_it_is_renewed() {
    let world = World::with_users(0);
    let put = || {
        run(metadata::put(vec![Lease {
            set: "online".to_owned(),
            member: "1".to_owned(),
            ttl_ms: 1000,
        }]))
        .unwrap()
    };
    let count = || run(metadata::count("online".to_owned())).unwrap();
    assert_eq!(put(), [true]);
    world.clock().advance_ms(999);
    assert_eq!((put(), count()), (vec![false], 1));
    world.clock().advance_ms(1000);
    assert_eq!((count(), put()), (0, vec![true]));
    let remove = || run(metadata::remove("online".to_owned(), "1".to_owned())).unwrap();
    assert_eq!((remove(), remove()), (true, false));
}

#[test]
fn a_queue_gives_what_is_urgent_first_and_again_what_is_not_acknowledged() {
    let world = World::with_users(0);
    let publish = |priority, byte| run(queue::publish("t", priority, vec![byte])).unwrap();
    publish(Priority::Low, 1);
    publish(Priority::Normal, 2);
    publish(Priority::Urgent, 3);
    let receive = |group: &str, max| run(queue::receive("t", group, max, 1000)).unwrap();
    let bytes = |entries: &[Entry]| {
        entries
            .iter()
            .flat_map(|entry| entry.payload.clone())
            .collect::<Vec<_>>()
    };
    let first = receive("g", 2);
    assert_eq!(bytes(&first), [3, 2]);
    assert_eq!(bytes(&receive("g", 2)), [1]);
    assert_eq!(bytes(&receive("other", 9)), [3, 2, 1], "another group has its own");
    let ids: Vec<u64> = first.iter().map(|entry| entry.id).collect();
    assert_eq!(run(queue::ack("t", "g", ids)).unwrap(), 2);
    assert!(receive("g", 9).is_empty());
    world.clock().advance_ms(60_000);
    assert_eq!((bytes(&receive("g", 9)), world.queue().waiting("t", "g")), (vec![1], 1));
}

#[test]
fn permits_come_back_with_time() {
    let world = World::with_users(0);
    world.guards().limit("send", 2.0, 3.0);
    let acquire = |permits| rate_limit::acquire("send", "1", permits).map_err(|error| error.code);
    assert_eq!((acquire(3), acquire(1)), (Ok(()), Err(ErrorCode::RateLimited)));
    world.clock().advance_ms(500);
    assert_eq!((acquire(1), acquire(1)), (Ok(()), Err(ErrorCode::RateLimited)));
    assert!(
        rate_limit::acquire("other", "1", 1000).is_ok(),
        "without a rate nothing is limited"
    );
}

fn increment() -> Result<i64, Error> {
    run(cache::increment("n".to_owned(), 1, 1000))
}

fn push() -> Result<u64, Error> {
    run(cache::push_right("l".to_owned(), &[1_u64], 1000))
}

#[test]
fn a_counter_and_a_list_whose_answer_is_lost_have_changed() {
    let world = World::with_users(0);
    for (fault, counted, length) in [(Fault::Refused, 1, 1), (Fault::AnswerLost, 2, 2)] {
        world.fail_times(Call::CACHE, fault, 2);
        let codes = (increment().unwrap_err().code, push().unwrap_err().code);
        assert_eq!(codes, (ErrorCode::Unavailable, ErrorCode::Unavailable));
        assert_eq!((increment(), push()), (Ok(counted), Ok(length)), "{fault:?}");
        world.cache().clear();
    }
}

#[test]
fn without_a_cache_nothing_is_counted_and_no_list_is_there() {
    let world = World::with_users(0);
    world.take_away(Call::CACHE);
    let name = || "l".to_owned();
    let refused = [
        run(cache::exists(name())).map(drop),
        run(cache::increment(name(), 1, 9)).map(drop),
        run(cache::decrement(name(), 1, 9)).map(drop),
        run(cache::push_left(name(), &[1_u64], 9)).map(drop),
        run(cache::push_right(name(), &[1_u64], 9)).map(drop),
        run(cache::range::<u64>(name(), 0, -1)).map(drop),
    ];
    for answer in refused {
        assert_eq!(answer.unwrap_err().code, ErrorCode::Unavailable);
    }
    assert_eq!(world.calls(Call::CACHE), 0);
}

#[test]
fn counters_and_lists_are_those_of_the_space_of_a_function() {
    let world = World::with_users(0);
    let length = |function: &World| {
        run(function.within(cache::range::<u64>("l".to_owned(), 0, -1)))
            .unwrap()
            .len()
    };
    let there = |function: &World| run(function.within(cache::exists("n".to_owned()))).unwrap();
    let (send, route) = (world.function_with_cache("send", "groups"), world.function("route"));
    run(send.within(cache::decrement("n".to_owned(), 1, 9))).unwrap();
    run(send.within(cache::push_left("l".to_owned(), &[1_u64], 9))).unwrap();
    assert_eq!((length(&send), there(&send)), (1, true));
    assert_eq!((length(&route), there(&route)), (0, false));
    let groups = world.function("groups");
    assert_eq!((length(&groups), there(&groups)), (1, true), "they share a space");
}
