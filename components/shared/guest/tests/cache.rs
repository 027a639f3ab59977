//! Reading a store through the cache, and counters and lists in it, in the world of the tests.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::cell::RefCell;

use guest::cache::{
    Keep, at_hand, cached, cached_one, decrement, exists, forget_after, get_many, increment, push_left, push_right,
    put, range, set,
};
use guest::{Error, ErrorCode, sql};
use native::{Call, World, run};

fn world() -> World {
    World::with_users(0)
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

/// Reads keys of which the store has all but `none`; gives the values and which were loaded.
fn read(names: &[&str], keep: Keep) -> (Vec<Option<String>>, Vec<Vec<usize>>) {
    let loads = RefCell::new(Vec::new());
    let values = run(cached(keys(names), keep, async |missing| {
        loads.borrow_mut().push(missing.to_vec());
        let value = |index: &usize| (names[*index] != "none").then(|| names[*index].to_uppercase());
        Ok(missing.iter().map(value).collect())
    }));
    (values.unwrap(), loads.into_inner())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn all_that_is_missing_is_loaded_at_once_and_once() {
    let _world = world();
    let keep = Keep::for_ms(1000);
    assert_eq!(read(&["a", "b"], keep), (vec![some("A"), some("B")], vec![vec![0, 1]]));
    assert_eq!(read(&["b", "c", "a", "none"], keep).1, [[1, 3]]);
    let (values, loads) = read(&["none", "c", "a"], keep);
    assert_eq!((values, loads), (vec![None, some("C"), some("A")], vec![]));
    assert_eq!(read(&[], keep), (vec![], vec![]));
}

#[test]
fn what_was_loaded_is_kept_for_its_time_and_no_longer() {
    let world = world();
    let keep = Keep::for_ms(1000);
    read(&["a"], keep);
    world.clock().advance_ms(999);
    assert_eq!(read(&["a"], keep).1.len(), 0);
    world.clock().advance_ms(1);
    assert_eq!(read(&["a"], keep).1.len(), 1);
}

#[test]
fn that_there_is_nothing_is_kept_only_where_it_may_be() {
    let _world = world();
    let keep = Keep::for_ms(1000).values_only();
    assert_eq!(read(&["none", "a"], keep).1.len(), 1);
    assert_eq!(read(&["none", "a"], keep), (vec![None, some("A")], vec![vec![0]]));
}

#[test]
fn without_a_cache_everything_is_loaded() {
    world().take_away(Call::CACHE);
    for _ in 0..2 {
        assert_eq!(read(&["a"], Keep::for_ms(1)), (vec![some("A")], vec![vec![0]]));
    }
}

#[test]
fn a_load_that_fails_is_not_kept_and_told() {
    let _world = world();
    let failed = run(cached_one::<u64>("a".to_owned(), Keep::for_ms(1), async || {
        Err(Error::internal("down"))
    }));
    assert_eq!(failed.unwrap_err().code, ErrorCode::Internal);
    let load = async || Ok(Some(7));
    assert_eq!(
        run(cached_one("a".to_owned(), Keep::for_ms(1), load)).unwrap(),
        Some(7_u64)
    );
}

#[test]
fn a_write_forgets_unless_it_was_refused() {
    let world = world();
    let keep = Keep::for_ms(1000);
    let refused: [Result<(), sql::Error>; 2] = [
        Err(sql::Error::Unmet(0)),
        Err(sql::Error::UniqueViolation(String::new())),
    ];
    let done = [Ok(()), Err(sql::Error::Timeout(String::new()))];
    for (outcomes, loads) in [(refused, 0), (done, 1)] {
        for outcome in outcomes {
            read(&["a"], keep);
            run(forget_after(&outcome, keys(&["a"])));
            assert_eq!(read(&["a"], keep).1.len(), loads, "{outcome:?}");
        }
    }
    assert!(world.cache().hits() > 0);
}

#[test]
fn what_another_version_has_set_is_as_if_it_were_not_there() {
    let world = world();
    run(put("a".to_owned(), &7_u64, 1000));
    world.cache().set("c".to_owned(), b"another".to_vec());
    let values = run(get_many::<u64>(keys(&["a", "b", "c"])));
    assert_eq!(values.unwrap(), [Some(7), None, None]);
}

#[test]
fn what_was_put_is_at_hand_and_nothing_else_is() {
    let world = world();
    run(put("a".to_owned(), &7_u64, 1000));
    run(put("text".to_owned(), &"x".to_owned(), 1000));
    let found: Vec<Option<u64>> = run(at_hand(keys(&["b", "a", "text"])));
    assert_eq!(found, [None, Some(7), None]);
    assert_eq!(read(&["a"], Keep::for_ms(1)).1.len(), 1, "the keys are others");
    world.clock().advance_ms(1000);
    assert_eq!(run(at_hand::<u64>(keys(&["a"]))), [None], "its time is over");
}

#[test]
fn a_cache_that_answers_no_more_is_let_rest() {
    let world = world();
    let fails = || {
        run(put("a".to_owned(), &7_u64, 1000));
        run(at_hand::<u64>(keys(&["a", "b"])))
    };
    world.take_away(Call::CACHE);
    for _ in 0..10 {
        assert_eq!(fails(), [None, None]);
    }
    assert_eq!(world.telemetry().counted("mpim_cache_puts_lost"), 10);
    world.give_back(Call::CACHE);
    assert_eq!(world.calls_of(Call::CACHE, fails), 0, "nobody asks it");
    assert_eq!(world.telemetry().counted("mpim_cache_puts_lost"), 11);
    world.clock().advance_ms(5_000);
    assert_eq!(fails(), [Some(7), None], "it is asked again once it has rested");
}

fn key() -> String {
    "k".to_owned()
}

/// All that a list of numbers has.
fn list() -> Vec<Option<u64>> {
    run(range(key(), 0, -1)).unwrap()
}

/// The code of an error, and whether the call may be tried again.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> (ErrorCode, bool) {
    let error = answer.unwrap_err();
    (error.code, error.retryable)
}

/// What the host calls `invalid` is a fault of the component.
const INVALID: (ErrorCode, bool) = (ErrorCode::Internal, false);

#[test]
fn a_list_grows_at_both_ends_and_is_read_by_range() {
    let _world = world();
    assert!(list().is_empty() && !run(exists(key())).unwrap());
    assert_eq!(run(push_right(key(), &[1_u64, 2], 9)).unwrap(), 2);
    assert_eq!(run(push_left(key(), &[3_u64, 4], 9)).unwrap(), 4);
    assert!(run(exists(key())).unwrap());
    let (first, second, third, last) = (Some(4_u64), Some(3), Some(1), Some(2));
    for (start, stop, expected) in [
        (0, -1, vec![first, second, third, last]),
        (i64::MIN, i64::MAX, vec![first, second, third, last]),
        (-3, 1, vec![second]),
        (2, 9, vec![third, last]),
        (-9, 0, vec![first]),
        (-9, -8, vec![]),
        (4, 9, vec![]),
        (2, 1, vec![]),
        (i64::MAX, i64::MIN, vec![]),
    ] {
        assert_eq!(run(range(key(), start, stop)).unwrap(), expected, "{start}..={stop}");
    }
    let as_text = run(range::<String>(key(), 0, 0)).unwrap();
    assert_eq!(as_text, [None], "another version wrote it");
}

#[test]
fn the_other_kind_is_refused_and_stays_as_it_is() {
    let _world = world();
    assert_eq!(run(increment(key(), 5, 9)).unwrap(), 5);
    assert_eq!(refusal(run(push_left(key(), &[1_u64], 9))), INVALID);
    assert_eq!(refusal(run(push_right(key(), &[1_u64], 9))), INVALID);
    assert_eq!(refusal(run(range::<u64>(key(), 0, -1))), INVALID);
    assert_eq!(run(decrement(key(), 7, 9)).unwrap(), -2);
    assert_eq!(run(push_left("l".to_owned(), &[1_u64], 9)).unwrap(), 1);
    assert_eq!(refusal(run(increment("l".to_owned(), 1, 9))), INVALID);
    assert_eq!(refusal(run(decrement("l".to_owned(), 1, 9))), INVALID);
    let found = run(get_many::<u64>(keys(&["l", "k"]))).unwrap();
    assert_eq!(found, [None, None], "a list does not fail the others");
    assert_eq!(run(push_left("l".to_owned(), &[2_u64], 9)).unwrap(), 2);
    run(set("l".to_owned(), &7_u64, 9)).unwrap();
    assert_eq!(run(get_many(keys(&["l"]))).unwrap(), [Some(7_u64)]);
}

#[test]
fn a_counter_is_its_number_in_digits() {
    let world = world();
    assert_eq!(run(increment(key(), 8, 9)).unwrap(), 8);
    assert_eq!(run(get_many(keys(&["k"]))).unwrap(), [Some(b'8')]);
    assert_eq!(refusal(run(increment(key(), i64::MAX, 9))), INVALID);
    assert_eq!(refusal(run(decrement(key(), i64::MIN, 9))), INVALID);
    assert_eq!(run(increment(key(), -9, 9)).unwrap(), -1);
    assert_eq!(run(increment(key(), i64::MIN + 1, 9)).unwrap(), i64::MIN);
    for bytes in ["", "x", "+1", "01", "-0", " 1"] {
        world.cache().set(key(), bytes.as_bytes().to_vec());
        assert_eq!(refusal(run(increment(key(), 1, 9))), INVALID, "{bytes:?} is no number");
        assert_eq!(world.cache().get("k").unwrap(), bytes.as_bytes());
    }
}

#[test]
fn counters_and_lists_live_as_long_as_the_call_that_began_them_says() {
    let world = world();
    let counted = || run(increment("counter".to_owned(), 1, 1000)).unwrap();
    let pushed = || run(push_right(key(), &[1_u64], 1000)).unwrap();
    assert_eq!((counted(), pushed()), (1, 1));
    world.clock().advance_ms(999);
    assert_eq!((counted(), pushed()), (2, 2));
    world.clock().advance_ms(1);
    let there = |name: &str| run(exists(name.to_owned())).unwrap();
    assert!(!there("counter") && !there("k") && list().is_empty(), "both have ended");
    assert_eq!((counted(), pushed()), (1, 1));
}

#[test]
fn what_is_beyond_a_bound_is_refused_as_a_whole() {
    let _world = world();
    assert_eq!(refusal(run(push_left::<u64>(key(), &[], 9))), INVALID);
    for ttl_ms_of_0 in [
        run(push_left(key(), &[1_u64], 0)).map(drop),
        run(push_right(key(), &[1_u64], 0)).map(drop),
        run(increment(key(), 1, 0)).map(drop),
        run(decrement(key(), 1, 0)).map(drop),
        run(set(key(), &1_u64, 0)),
    ] {
        assert_eq!(refusal(ttl_ms_of_0), INVALID);
    }
    // Bytes of a value, of which four are its length.
    let text = |bytes: usize| "x".repeat(bytes - 4);
    assert_eq!(
        refusal(run(push_left(key(), &["x".to_owned(), text(8 * 1024 + 1)], 9))),
        INVALID
    );
    assert!(!run(exists(key())).unwrap(), "nothing was pushed");
    assert_eq!(run(push_left("l".to_owned(), &[text(8 * 1024)], 9)).unwrap(), 1);
    // Bytes of a key with its value.
    let most = 1024 * 1024;
    assert_eq!(refusal(run(set(key(), &text(most), 9))), INVALID);
    run(set(key(), &text(most - 1), 9)).unwrap();
    let long = || "k".repeat(most + 1);
    assert_eq!(refusal(run(push_left(long(), &[1_u64], 9))), INVALID);
    assert_eq!(refusal(run(increment(long(), 1, 9))), INVALID);
}

#[test]
fn a_full_list_is_overloaded_until_it_has_ended() {
    let world = world();
    assert_eq!(run(push_right(key(), &vec![1_u64; 1023], 1000)).unwrap(), 1023);
    let overloaded = (ErrorCode::Overloaded, true);
    assert_eq!(refusal(run(push_left(key(), &[2_u64, 3], 1000))), overloaded);
    assert_eq!(list().len(), 1023, "all of the values or none");
    assert_eq!(run(push_left(key(), &[2_u64], 1000)).unwrap(), 1024);
    assert_eq!(refusal(run(push_right(key(), &[3_u64], 1000))), overloaded);
    world.clock().advance_ms(1000);
    assert_eq!(run(push_right(key(), &[3_u64], 1000)).unwrap(), 1);
}
