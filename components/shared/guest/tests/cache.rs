//! Reading a store through the cache, in the world of the tests.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::cell::RefCell;

use guest::cache::{Keep, at_hand, cached, cached_one, forget_after, get_many, put};
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
